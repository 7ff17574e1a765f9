package main

import (
	"container/heap"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Assumptions are what the simulation is told; the rest is measured.
type Assumptions struct {
	SessionsPerDay  float64       `json:"sessions_per_day"`      // of a user
	PeakHour        float64       `json:"peak_hour_part"`        // of a day's sessions
	TurnsPerSession int           `json:"turns_per_session"`     // on average
	Think           time.Duration `json:"think_ns"`              // between an answer and the next turn, on average
	Answer          time.Duration `json:"answer_ns"`             // of a turn, on average: the model's time
	CacheSize       int           `json:"cache_size"`            // of a process: peruser.Options.CacheSize
	CacheTTL        time.Duration `json:"cache_ttl_ns"`          // peruser.Options.CacheTTL
	Utilisation     float64       `json:"utilisation"`           // how much of its core a Letta process may use
	NewUsers        float64       `json:"new_users_per_session"` // agents to create
}

// Simulated is what simulate writes.
type Simulated struct {
	Assumptions Assumptions `json:"assumptions"`
	Costs       Costs       `json:"costs"`
	Loads       []Load      `json:"loads"`
	Caches      []Cache     `json:"caches"`
	Moves       []Move      `json:"moves"`
}

// Costs are measured.
type Costs struct {
	Turn, Lookup, Create Cost
	Client               float64 `json:"client_ms"`  // of a streamed turn, time of a core of the client
	Stream               float64 `json:"stream_kib"` // of an open stream, in the client
}

// Cost is the time of a core, in milliseconds.
type Cost struct {
	Letta    float64 `json:"letta_ms"`    // of the Python process
	Database float64 `json:"database_ms"` // of PostgreSQL and Redis
}

// Load is the busiest hour of so many users a day.
type Load struct {
	Users          int     `json:"users"`
	Turns          float64 `json:"turns_per_second"`
	PeakTurns      int     `json:"turns_in_the_busiest_second"`
	Streams        float64 `json:"open_streams"`
	PeakStreams    int     `json:"open_streams_at_most"`
	StreamMemory   float64 `json:"stream_memory_mib"` // at most
	ClientCores    float64 `json:"client_cores"`
	LettaCores     float64 `json:"letta_cores"` // with a cache
	LettaProcesses int     `json:"letta_processes"`
	DatabaseCores  float64 `json:"database_cores"`
}

// Cache is what instances of a program ask Letta for, with one lookup before each turn.
type Cache struct {
	Users      int     `json:"users"`
	Instances  int     `json:"instances"`
	Sticky     bool    `json:"sticky"` // a user stays with an instance
	Lookups    float64 `json:"lookups_per_second"`
	Misses     float64 `json:"misses_per_second"`
	Hits       float64 `json:"hits_part"`
	SavedCores float64 `json:"saved_cores"` // of Letta and its database
}

// Move is the part of the users whose server is another one after a server was added.
type Move struct {
	Servers    int     `json:"servers"` // before
	Rendezvous float64 `json:"rendezvous_part"`
	Modulo     float64 `json:"modulo_part"`
}

func simulate(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("simulate", flag.ExitOnError)
	in := flags.String("in", "docs/scale/measured.json", "what measure wrote")
	out := flags.String("out", "docs/scale/simulated.json", "the file of results")
	_ = flags.Parse(args)
	var m Measured
	if err := load(*in, &m); err != nil {
		return err
	}
	return save(*out, simulation(&m, 1_000, 10_000, 100_000, 1_000_000))
}

// simulation simulates a day of so many users, for each number of them.
func simulation(m *Measured, users ...int) Simulated {
	s := Simulated{
		Assumptions: Assumptions{
			SessionsPerDay: 2, PeakHour: 0.12, TurnsPerSession: 6, Think: 40 * time.Second, Answer: 8 * time.Second,
			CacheSize: 10_000, CacheTTL: 5 * time.Minute, Utilisation: 0.7, NewUsers: 0.02,
		},
		Costs: Costs{
			Turn: m.cost("agents.messages.stream"), Lookup: m.cost("agents.list by tag"), Create: m.cost("agents.create"),
			Client: m.operation("agents.messages.stream").ClientCPU, Stream: m.Client.StreamMemory,
		},
	}
	for _, n := range users {
		h := newHour(n, s.Assumptions)
		var four Cache // instances, and a user stays with one
		for _, instances := range []int{1, 4, 16} {
			for _, sticky := range []bool{false, true} {
				if instances > 1 || !sticky {
					c := h.cache(instances, sticky, s.Costs)
					s.Caches = append(s.Caches, c)
					if instances == 4 && sticky {
						four = c
					}
				}
			}
		}
		s.Loads = append(s.Loads, h.load(s.Costs, four.Misses))
	}
	for _, servers := range []int{2, 4, 8, 16} {
		s.Moves = append(s.Moves, moves(servers, 100_000))
	}
	return s
}

// operation is what was measured with one worker.
func (m *Measured) operation(name string) Operation {
	for _, op := range m.Operations {
		if op.Name == name && op.Workers == 1 {
			return op
		}
	}
	panic("not measured: " + name)
}

func (m *Measured) cost(name string) Cost {
	cpu := m.operation(name).CPU
	return Cost{cpu["v1"], round(cpu["postgres"] + cpu["redis"])}
}

// hour is the busiest hour of a day: its turns in the order of their begin.
type hour struct {
	Assumptions
	users int
	turns []turn
	fresh int // sessions of new users
}

type turn struct {
	user       int
	begin, end time.Duration
}

// newHour lets users begin sessions at random. A session that began before the hour may go on in it, so there is a time before.
func newHour(users int, a Assumptions) *hour {
	random := rand.New(rand.NewPCG(uint64(users), 7)) //nolint:gosec // the same each time
	exponential := func(mean time.Duration) time.Duration { return time.Duration(random.ExpFloat64() * float64(mean)) }
	h := &hour{Assumptions: a, users: users}
	const before, length = 20 * time.Minute, time.Hour
	sessions := int(float64(users) * a.SessionsPerDay * a.PeakHour * float64(before+length) / float64(length))
	queue := make(events, 0, sessions)
	for range sessions {
		begin := time.Duration(random.Int64N(int64(before+length))) - before
		queue = append(queue, event{at: begin, user: random.IntN(users), left: 1 + random.IntN(2*a.TurnsPerSession-1)})
	}
	heap.Init(&queue)
	for len(queue) > 0 {
		e := queue[0]
		if e.at >= length {
			break
		}
		end := e.at + exponential(a.Answer)
		h.turns = append(h.turns, turn{e.user, e.at, end})
		if e.left--; e.left > 0 {
			e.at = end + exponential(a.Think)
			queue[0] = e
			heap.Fix(&queue, 0)
		} else {
			heap.Pop(&queue)
		}
	}
	h.fresh = int(float64(users) * a.SessionsPerDay * a.PeakHour * a.NewUsers)
	return h
}

// event is the next turn of a session.
type event struct {
	at   time.Duration
	user int
	left int
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// load is what comes of the turns, and of so many lookups per second that are not remembered.
func (h *hour) load(c Costs, misses float64) Load {
	const seconds = 3600
	l := Load{Users: h.users}
	begins := make([]int, seconds)
	changes := make([]int, seconds+1)
	var busy time.Duration
	for _, t := range h.turns {
		if t.end <= 0 {
			continue
		}
		if t.begin >= 0 {
			begins[int(t.begin.Seconds())]++
		}
		changes[int(max(t.begin, 0).Seconds())]++
		changes[min(int(t.end.Seconds())+1, seconds)]--
		busy += min(t.end, time.Hour) - max(t.begin, 0)
	}
	open, turns := 0, 0
	for i, n := range begins {
		turns += n
		l.PeakTurns = max(l.PeakTurns, n)
		open += changes[i]
		l.PeakStreams = max(l.PeakStreams, open)
	}
	rate := float64(turns) / seconds
	l.Turns, l.Streams = round(rate), round(busy.Seconds()/seconds)
	l.StreamMemory = round(float64(l.PeakStreams) * c.Stream / 1024)
	l.ClientCores = round(rate * c.Client / 1000)
	cores := func(of func(Cost) float64) float64 {
		return round((rate*of(c.Turn) + misses*of(c.Lookup) + float64(h.fresh)/seconds*of(c.Create)) / 1000)
	}
	l.LettaCores, l.DatabaseCores = cores(func(c Cost) float64 { return c.Letta }), cores(func(c Cost) float64 { return c.Database })
	l.LettaProcesses = int(math.Ceil(l.LettaCores / h.Utilisation))
	return l
}

// cache plays the lookups of the hour on caches of instances, each of the least recently used users.
func (h *hour) cache(instances int, sticky bool, c Costs) Cache {
	random := rand.New(rand.NewPCG(uint64(instances), 11)) //nolint:gosec // the same each time
	caches := make([]lru, instances)
	for i := range caches {
		caches[i] = lru{size: h.CacheSize, ttl: h.CacheTTL, order: list.New(), of: map[int]*list.Element{}}
	}
	lookups, misses := 0, 0
	for _, t := range h.turns {
		instance := random.IntN(instances)
		if sticky {
			instance = t.user % instances
		}
		hit := caches[instance].get(t.user, t.begin)
		if t.begin < 0 {
			continue
		}
		lookups++
		if !hit {
			misses++
		}
	}
	r := Cache{Users: h.users, Instances: instances, Sticky: sticky, Lookups: round(float64(lookups) / 3600), Misses: round(float64(misses) / 3600)}
	r.Hits = round(1 - float64(misses)/float64(lookups))
	r.SavedCores = round(float64(lookups-misses) / 3600 * (c.Lookup.Letta + c.Lookup.Database) / 1000)
	return r
}

// lru remembers as peruser does: for a time, and the users that were asked for last.
type lru struct {
	size  int
	ttl   time.Duration
	order *list.List
	of    map[int]*list.Element
}

type remembered struct {
	user  int
	until time.Duration
}

// get reports whether a user is remembered, and remembers the user.
func (l *lru) get(user int, now time.Duration) bool {
	if e := l.of[user]; e != nil {
		l.order.MoveToFront(e)
		r := e.Value.(*remembered)
		if now < r.until {
			return true
		}
		r.until = now + l.ttl
		return false
	}
	l.of[user] = l.order.PushFront(&remembered{user, now + l.ttl})
	if l.order.Len() > l.size {
		last := l.order.Back()
		delete(l.of, last.Value.(*remembered).user)
		l.order.Remove(last)
	}
	return false
}

func moves(servers, users int) Move {
	names := make([]string, servers+1)
	for i := range names {
		names[i] = fmt.Sprintf("http://letta-%d:8283", i)
	}
	hashed, modulo := 0, 0
	for i := range users {
		user := fmt.Sprintf("user_%d", i)
		if rendezvous(names[:servers], user) != rendezvous(names, user) {
			hashed++
		}
		if i%servers != i%(servers+1) {
			modulo++
		}
	}
	return Move{servers, round(float64(hashed) / float64(users)), round(float64(modulo) / float64(users))}
}

// rendezvous is the server of a user: that for which the hash of both is the highest. docs/scale.md shows it.
func rendezvous(servers []string, user string) (best string) {
	var highest uint64
	for _, server := range servers {
		sum := sha256.Sum256([]byte(server + " " + user))
		if score := binary.BigEndian.Uint64(sum[:]); best == "" || score > highest {
			best, highest = server, score
		}
	}
	return best
}
