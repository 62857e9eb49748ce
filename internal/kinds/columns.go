package kinds

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// NameColumn is the first column of every table.
func NameColumn() Column {
	return Column{
		Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"],
		Cell: func(_ Env, obj Object) any { return obj.GetName() },
	}
}

// AgeColumn shows how long ago an object was made.
func AgeColumn() Column {
	return Column{
		Name: "Age", Type: "string", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"],
		Cell: func(env Env, obj Object) any { return Age(env, obj.GetCreationTimestamp().Time) },
	}
}

// Age says how long before env.Now t was, as tables print it: "5d3h". The zero time is "<unknown>".
func Age(env Env, t time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(env.Now.Sub(t))
}

// Table returns the kind's columns: when it has none of its own, the name and when the object was made.
func (k *Kind) Table() []Column {
	if k.Columns != nil {
		return k.Columns
	}
	return []Column{NameColumn(), {
		Name: "Created At", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"],
		Cell: func(_ Env, obj Object) any { return obj.GetCreationTimestamp().UTC().Format(time.RFC3339) },
	}}
}
