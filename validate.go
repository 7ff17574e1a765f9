package letta

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// validate finds the mistakes in params that a server would misread, answer with everything it has, or answer 500 to:
// a required field that is empty (`letta:"required"`), a negative limit, tags that are empty or blank.
func validate(params any, inQuery bool) error {
	v := reflect.ValueOf(params)
	if v.Kind() != reflect.Pointer || v.Type().Elem().Kind() != reflect.Struct {
		return nil
	}
	list := checksOf(v.Type().Elem())
	if v.IsNil() {
		if inQuery && !slices.ContainsFunc(list, func(c fieldCheck) bool { return c.kind == checkRequired }) {
			return nil
		}
		return errors.New("the params are nil")
	}
	for _, check := range list {
		field := v.Elem().Field(check.index)
		switch check.kind {
		case checkRequired:
			if field.IsZero() {
				return fmt.Errorf("%s is empty", check.name)
			}
		case checkNotNegative:
			if field.Int() < 0 {
				return fmt.Errorf("%s is %d", check.name, field.Int())
			}
		case checkTagList:
			tags, _ := field.Interface().([]string)
			if tags == nil || len(tags) == 0 && !inQuery {
				continue // no filter; no tags
			}
			if err := checkTags(tags); err != nil {
				return err
			}
		}
	}
	return nil
}

type fieldCheck struct {
	index int
	name  string // as sent
	kind  checkKind
}

type checkKind int

const (
	checkRequired checkKind = iota
	checkNotNegative
	checkTagList
)

var checks sync.Map // of reflect.Type, []fieldCheck

func checksOf(t reflect.Type) []fieldCheck {
	if found, ok := checks.Load(t); ok {
		return found.([]fieldCheck)
	}
	var list []fieldCheck
	for i := range t.NumField() {
		f := t.Field(i)
		name := ""
		for _, tag := range []string{"json", "url", "form"} {
			if sent, _, _ := strings.Cut(f.Tag.Get(tag), ","); sent != "" && sent != "-" && name == "" {
				name = sent
			}
		}
		if f.Tag.Get("letta") == "required" {
			list = append(list, fieldCheck{i, name, checkRequired})
		}
		switch {
		case f.Name == "Limit" && f.Type.Kind() == reflect.Int:
			list = append(list, fieldCheck{i, name, checkNotNegative})
		case f.Name == "Tags" && f.Type == reflect.TypeFor[[]string]():
			list = append(list, fieldCheck{i, name, checkTagList})
		}
	}
	checks.Store(t, list)
	return list
}

// checkTags refuses a list that a server would take for no filter, and blank tags, which mostly are a user id that somebody
// forgot to set.
func checkTags(tags []string) error {
	if len(tags) == 0 {
		return fmt.Errorf("%w: tags is empty", ErrInvalidTags)
	}
	for i, tag := range tags {
		switch {
		case strings.TrimSpace(tag) == "":
			return fmt.Errorf("%w: tags[%d] is blank", ErrInvalidTags, i)
		case !utf8.ValidString(tag):
			return fmt.Errorf("%w: tags[%d] is not UTF-8", ErrInvalidTags, i)
		}
	}
	return nil
}
