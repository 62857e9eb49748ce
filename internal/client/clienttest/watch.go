package clienttest

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
)

// tell is a change in words.
func tell(c client.Change) string {
	switch {
	case c.New == nil && c.Old == nil:
		return "nothing"
	case c.Old == nil:
		return "created " + c.New.GetName()
	case c.New == nil:
		return "deleted " + c.Old.GetName()
	}
	return "changed " + c.New.GetName()
}

// told reads changes until one of the object "end", which it leaves out.
func (r reader) told() []string {
	r.b.Helper()
	out := []string{}
	for {
		c := r.next()
		if c.Newest().GetName() == "end" {
			return out
		}
		out = append(out, fmt.Sprintf("%s@%d", tell(c), c.Revision))
	}
}

func watchTrials() []trial {
	return []trial{
		{"every change after a view's revision comes once, in order, at its revision", everyChange},
		{"a change has the whole object before and after", func(b *bench) {
			s := b.watch(configMaps(), b.view().Revision(), "", "")
			first := b.create(configMaps(), configMap("a"))
			last := b.patch(configMaps(), "a", `{"data":{"k":"w"}}`)
			b.remove(configMaps(), "a", metav1.DeleteOptions{})
			created, changed, deleted := s.next(), s.next(), s.next()
			b.same("created", created.New, first)
			b.same("changed from", changed.Old, first)
			b.same("changed to", changed.New, last)
			b.same("deleted", deleted.Old, last)
			b.same("newest of a deletion", deleted.Newest(), last)
		}},
		{"by an index value come the changes of what has or had it", byIndex},
		{"other resources are not heard", func(b *bench) {
			s := b.watch(pods(), b.view().Revision(), "", "")
			b.create(configMaps(), configMap("a"))
			b.create(nodes(), node("one"))
			b.create(pods(), pod("p"))
			if c := s.next(); tell(c) != "created p" {
				b.Errorf("the stream says %s", tell(c))
			}
		}},
		{"a reader that waits is woken", func(b *bench) {
			s := b.watch(pods(), b.view().Revision(), "", "")
			heard := make(chan client.Change, 1)
			go func() {
				c, err := s.stream.Next(b.ctx)
				if err != nil {
					b.Error(err)
				}
				heard <- c
			}()
			p := b.create(pods(), pod("a"))
			if c := <-heard; c.Revision != b.revision(p) {
				b.Errorf("heard of %s at %d, want %s", tell(c), c.Revision, p.GetResourceVersion())
			}
		}},
		{"the end of a context loses nothing", func(b *bench) {
			s := b.watch(configMaps(), b.view().Revision(), "", "")
			ended, end := context.WithCancel(b.ctx)
			end()
			if _, err := s.stream.Next(ended); !errors.Is(err, context.Canceled) {
				b.Errorf("got %v, want the context's end", err)
			}
			b.create(configMaps(), configMap("a"))
			if c := s.next(); tell(c) != "created a" {
				b.Errorf("then it says %s", tell(c))
			}
		}},
		{"what is no longer kept is expired, and a new view goes on", expiring},
		{"a revision from the future and an index that is not there are refused", func(b *bench) {
			now := b.view().Revision()
			always := func(error) bool { return true }
			b.refused("the future", second(b.admin.Watch(b.ctx, pods(), now+1<<40, "", "")), always, "")
			b.refused("no index", second(b.admin.Watch(b.ctx, pods(), now, "spec.color", "red")), always, "")
		}},
	}
}

func everyChange(b *bench) {
	b.create(configMaps(), configMap("before"))
	start := b.view().Revision()
	live := b.watch(configMaps(), start, "", "")
	want := []string{}
	revs := []uint64{start}
	did := func(what string, rev uint64) {
		want = append(want, fmt.Sprintf("%s@%d", what, rev))
		revs = append(revs, rev)
	}
	for round := range 3 {
		did("created a", b.revision(b.create(configMaps(), configMap("a"))))
		same := b.patch(configMaps(), "a", fmt.Sprintf(`{"data":{"k":"%d"}}`, round))
		did("changed a", b.revision(same))
		b.update(configMaps(), same, "") // changes nothing
		did("created b", b.revision(b.create(configMaps(), configMap("b"))))
		did("deleted b", b.remove(configMaps(), "b", metav1.DeleteOptions{}))
		b.remove(configMaps(), "a", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		did("deleted a", b.remove(configMaps(), "a", metav1.DeleteOptions{}))
	}
	b.create(configMaps(), configMap("end"))
	equal(b, "live", live.told(), want)
	b.view()
	for i, rev := range revs {
		equal(b, fmt.Sprintf("again from %d", rev), b.watch(configMaps(), rev, "", "").told(), want[i:])
	}
}

func byIndex(b *bench) {
	start := b.view().Revision()
	one, none := b.watch(pods(), start, "spec.nodeName", "one"), b.watch(pods(), start, "spec.nodeName", "")
	b.create(pods(), pod("a"))
	b.create(pods(), podOn("two", "b"))
	b.must(b.admin.Bind(b.ctx, []*corev1.Binding{binding("a", "one")})[0])
	b.patch(pods(), "a", `{"metadata":{"labels":{"x":"y"}}}`)
	b.remove(pods(), "a", metav1.DeleteOptions{GracePeriodSeconds: pointer(int64(0))})
	b.create(pods(), podOn("one", "end"))
	b.create(pods(), pod("end-too"))
	for _, c := range []struct {
		name string
		of   reader
		want []string
	}{
		{"on the node", one, []string{"changed a:  to one", "changed a: one to one", "changed a: one to one", "deleted a: one to ", "created end:  to one"}},
		{"on none", none, []string{"created a:  to ", "changed a:  to one", "created end-too:  to "}},
	} {
		var got []string
		for range c.want {
			ch := c.of.next()
			got = append(got, fmt.Sprintf("%s: %s to %s", tell(ch), nodeOf(ch, true), nodeOf(ch, false)))
		}
		equal(b, c.name, got, c.want)
	}
	b.view()
	from := b.revision(b.create(configMaps(), ownedBy(configMap("c"), "u1")))
	b.update(configMaps(), ownedBy(configMap("c"), "u2"), "")
	b.update(configMaps(), configMap("c"), "")
	b.view()
	old, next := b.watch(configMaps(), from, client.OwnerIndex, "u1"), b.watch(configMaps(), from, client.OwnerIndex, "u2")
	b.create(configMaps(), ownedBy(configMap("end"), "u1"))
	b.patch(configMaps(), "end", `{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"owner","uid":"u2"}]}}`)
	if n := len(old.told()); n != 1 {
		b.Errorf("the first owner's reader heard %d changes, want 1", n)
	}
	if n := len(next.told()); n != 2 {
		b.Errorf("the second owner's reader heard %d changes, want 2", n)
	}
}

// nodeOf is the node of a change's pod before or after it; "" also when there was or is none.
func nodeOf(c client.Change, before bool) string {
	obj := c.New
	if before {
		obj = c.Old
	}
	if obj == nil {
		return ""
	}
	return obj.(*corev1.Pod).Spec.NodeName
}

func expiring(b *bench) {
	start := b.view().Revision()
	slow := b.watch(pods(), start, "", "")
	b.create(pods(), pod("a"))
	b.Expire(b.T)
	b.refused("a stream from before", second(b.admin.Watch(b.ctx, pods(), start, "", "")), client.IsExpired, "")
	_, err := slow.stream.Next(b.ctx)
	for err == nil { // it may deliver what it has
		_, err = slow.stream.Next(b.ctx)
	}
	b.refused("a slow reader", err, client.IsExpired, "")
	b.refused("and again", second(slow.stream.Next(b.ctx)), client.IsExpired, "")
	s := b.watch(pods(), b.view().Revision(), "", "")
	b.create(pods(), pod("b"))
	if c := s.next(); tell(c) != "created b" {
		b.Errorf("after a new view the stream says %s", tell(c))
	}
}
