package stage

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/itchyny/gojq"
)

// Object is an object as expressions and templates see it.
type Object struct {
	raw []byte
	doc map[string]any
}

// See makes an object of anything that has Kubernetes' JSON.
func See(obj any) (*Object, error) {
	o := &Object{}
	var err error
	if o.raw, err = json.Marshal(obj); err != nil {
		return nil, fmt.Errorf("an object for stages: %w", err)
	}
	if err := json.Unmarshal(o.raw, &o.doc); err != nil {
		return nil, fmt.Errorf("an object for stages: %w", err)
	}
	return o, nil
}

// find is all that an expression finds; nothing when it fails.
func (o *Object) find(code *gojq.Code) (found []any) {
	iter := code.Run(o.doc)
	for v, ok := iter.Next(); ok; v, ok = iter.Next() {
		if _, failed := v.(error); failed {
			return nil
		}
		found = append(found, v)
	}
	return found
}

// first is the first that an expression finds; nil when there is none.
func (o *Object) first(code *gojq.Code) any {
	if found := o.find(code); len(found) > 0 {
		return found[0]
	}
	return nil
}

func (o *Object) has(field string, wanted map[string]string) bool {
	meta, _ := o.doc["metadata"].(map[string]any)
	have, _ := meta[field].(map[string]any)
	for k, v := range wanted {
		if have[k] != v {
			return false
		}
	}
	return true
}

func (r *requirement) holds(o *Object) bool {
	found, any := o.find(r.query), false
	for _, v := range found {
		switch r.operator {
		case opExists, opAbsent:
			any = any || v != nil
		default:
			text, ok := word(v)
			any = any || ok && r.values[text]
		}
	}
	return any == (r.operator == opIn || r.operator == opExists)
}

// word is a value as requirements name it.
func word(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

// Selects says whether a rule is of an object.
func (r *Rule) Selects(o *Object) bool {
	if r.selector == nil || !o.has("labels", r.selector.MatchLabels) || !o.has("annotations", r.selector.MatchAnnotations) {
		return false
	}
	for i := range r.require {
		if !r.require[i].holds(o) {
			return false
		}
	}
	return true
}

// Choose is the rule of those of a kind that an object comes to next; nil: none. share, 0 ≤ share < 1, chooses where weights leave a choice.
func Choose(rules []*Rule, o *Object, share float64) *Rule {
	var list []*Rule
	var weights []int64
	var total int64
	for _, r := range rules {
		if !r.Selects(o) {
			continue
		}
		w := r.weight.number(o)
		list, weights, total = append(list, r), append(weights, w), total+w
	}
	if len(list) == 0 {
		return nil
	}
	if total == 0 {
		return list[int(share*float64(len(list)))]
	}
	at := int64(share * float64(total))
	for i, w := range weights {
		if at -= w; at < 0 {
			return list[i]
		}
	}
	return list[len(list)-1]
}

// number is a value that counts; 0 when there is none.
func (v *value) number(o *Object) int64 {
	if v.from != nil {
		text, _ := word(o.first(v.from))
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
			return n
		}
	}
	if v.fixed == nil {
		return 0
	}
	return *v.fixed
}

// duration is a value that is a time, or how long; ok is false when there is none.
func (v *value) duration(o *Object, now time.Time) (d time.Duration, ok bool) {
	if v.from != nil {
		text, _ := o.first(v.from).(string)
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return at.Sub(now), true
		}
		if d, err := time.ParseDuration(text); err == nil {
			return d, true
		}
	}
	if v.fixed == nil {
		return 0, false
	}
	return milliseconds(*v.fixed), true
}

// Delay is how long a rule waits for an object from now on, not below 0. share decides within a jitter.
func (r *Rule) Delay(o *Object, now time.Time, share float64) time.Duration {
	d, _ := r.delay.duration(o, now)
	if r.timed {
		if most, ok := r.jitter.duration(o, now); ok && most <= d {
			d = most
		} else if ok {
			d += time.Duration(share * float64(most-d))
		}
	}
	return max(d, 0)
}
