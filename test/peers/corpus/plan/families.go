package plan

import (
	"github.com/floe-k8s/floe/test/peers/transcript"
)

// Family is a list of requests about one matter that is of several kinds: who may do what, or what may pass.
type Family struct {
	// Name is the family's, as files and tests have it: "family-rights".
	Name string
	// Alone: what it creates changes what other requests get, so that it is recorded when they are done.
	Alone bool

	requests func(*family)
}

// Families are all of them, each in a file of its own.
func Families() []Family {
	return []Family{
		{Name: "family-rights", requests: (*family).rights},
		{Name: "family-nodes", requests: (*family).nodes},
		{Name: "family-definitions", requests: (*family).definitionsOf},
		{Name: "family-passes", Alone: true, requests: (*family).passes},
		{Name: "family-policies", Alone: true, requests: (*family).policies},
		{Name: "family-hooks", Alone: true, requests: (*family).hooks},
	}
}

// Blocks are the requests, as a Spec's are.
func (f Family) Blocks() ([]transcript.Block, error) {
	c := &family{list{names: map[string]int{}}}
	f.requests(c)
	return c.whole(f.Name)
}

// family is the list of a family's requests.
type family struct{ list }

// await waits until the answer to a GET of the path has a text, for what a server does some time after a write.
func (c *family) await(path, text string) {
	c.put("await "+path, "AWAIT "+path+"\n"+transcript.Until+": "+text+"\n")
}

// namespace makes one with labels, and the service account that its pods have.
func (c *family) namespace(name string, labels map[string]any) {
	c.add("namespace "+name, "POST", "/api/v1/namespaces", merged(meta("name", name), meta("labels", labels)))
	c.add("service account in "+name, "POST", "/api/v1/namespaces/"+name+"/serviceaccounts", meta("name", "default"))
}

// as is the header by which a request is another user's.
func as(user string) string { return "X-User: " + user }
