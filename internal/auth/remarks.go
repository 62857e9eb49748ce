package auth

import "maps"

// Remarks are what is to be said of the credential that a user was known by. They are immutable.
type Remarks struct {
	Warnings    []string          // to the client, beside the answer
	Annotations map[string]string // of the audit trail's event
}

// Warn returns r, which may be nil, with a warning more.
func (r *Remarks) Warn(text string) *Remarks {
	next := &Remarks{}
	if r != nil {
		*next = *r
	}
	next.Warnings = append(next.Warnings[:len(next.Warnings):len(next.Warnings)], text)
	return next
}

// Annotate returns r, which may be nil, with an annotation more.
func (r *Remarks) Annotate(key, value string) *Remarks {
	next := &Remarks{Annotations: map[string]string{}}
	if r != nil {
		next.Warnings = r.Warnings
		maps.Copy(next.Annotations, r.Annotations)
	}
	next.Annotations[key] = value
	return next
}
