package peruser

import "time"

// SetUnknownCreate shortens the wait after a create whose outcome is not known.
func (u *Users) SetUnknownCreate(d time.Duration) { u.unknownCreate = d }
