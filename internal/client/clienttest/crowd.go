package clienttest

import (
	"fmt"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

const (
	crowd  = 8  // writers side by side
	rounds = 20 // writes of each
)

// together runs f for each of the crowd, and waits for all.
func together(f func(writer int)) {
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

func crowdTrials() []trial {
	return []trial{
		{"who tries again on conflict loses no update", counted},
		{"patches without a version never conflict, and none is lost", func(b *bench) {
			b.create(configMaps(), configMap("a"))
			together(func(i int) {
				for n := range rounds {
					data := fmt.Sprintf(`{"data":{"w%d":"%d"}}`, i, n)
					if _, err := b.admin.Patch(b.ctx, configMaps(), home, "a", types.MergePatchType, []byte(data), ""); err != nil {
						b.Errorf("writer %d: %v", i, err)
					}
				}
			})
			got := b.get(configMaps(), "a").(*corev1.ConfigMap).Data
			for i := range crowd {
				if v := got[fmt.Sprint("w", i)]; v != strconv.Itoa(rounds-1) {
					b.Errorf("writer %d: last patch is %q", i, v)
				}
			}
		}},
		{"of many creators of one name one wins", func(b *bench) {
			errs := make([]error, crowd)
			together(func(i int) { errs[i] = second(b.admin.Create(b.ctx, pods(), pod("a"), metav1.CreateOptions{})) })
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else if !apierrors.IsAlreadyExists(err) {
					b.Error(err)
				}
			}
			if won != 1 {
				b.Errorf("%d creations of one name succeeded", won)
			}
		}},
		{"of many deleters one removes, the others find nothing", func(b *bench) {
			b.create(configMaps(), configMap("a"))
			revs, errs := make([]uint64, crowd), make([]error, crowd)
			together(func(i int) { revs[i], errs[i] = b.admin.Delete(b.ctx, configMaps(), home, "a", metav1.DeleteOptions{}) })
			won := 0
			for i, err := range errs {
				if err == nil && revs[i] > 0 {
					won++
				} else if !apierrors.IsNotFound(err) {
					b.Errorf("revision %d, %v", revs[i], err)
				}
			}
			if won != 1 {
				b.Errorf("%d deletions of one object succeeded", won)
			}
		}},
		{"a view and its stream add up to every later view", addUp},
	}
}

// counted counts in one object, each writer with the version that it has read.
func counted(b *bench) {
	start := configMap("a")
	start.Data["k"] = "0"
	b.create(configMaps(), start)
	together(func(i int) {
		c := b.Client(fmt.Sprint("writer-", i), masters)
		for range rounds {
			if err := increment(b, c); err != nil {
				b.Errorf("writer %d: %v", i, err)
				return
			}
		}
	})
	if got, want := b.get(configMaps(), "a").(*corev1.ConfigMap).Data["k"], strconv.Itoa(crowd*rounds); got != want {
		b.Errorf("counted to %s, want %s", got, want)
	}
}

func increment(b *bench, c client.Client) error {
	for {
		obj, err := c.Get(b.ctx, configMaps(), home, "a")
		if err != nil {
			return err
		}
		next := clone(obj).(*corev1.ConfigMap)
		n, err := strconv.Atoi(next.Data["k"])
		if err != nil {
			return err
		}
		next.Data["k"] = strconv.Itoa(n + 1)
		if _, err = c.Update(b.ctx, configMaps(), next, ""); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// addUp applies a stream to what the view that it began at shows, and at each quiet moment holds the sum against a new view.
func addUp(b *bench) {
	b.create(configMaps(), configMap("w0"))
	view := b.view()
	s := b.watch(configMaps(), view.Revision(), "", "")
	sum := map[string]string{}
	for obj := range view.List(configMaps(), "") {
		sum[obj.GetName()] = obj.GetResourceVersion()
	}
	for range 3 {
		together(func(i int) {
			name := fmt.Sprint("w", i)
			for range rounds {
				churn(b, name)
			}
		})
		b.create(configMaps(), configMap("end"))
		for name, last := "", uint64(0); name != "end"; {
			c := s.next()
			if c.Revision <= last {
				b.Fatalf("%s at %d comes after %d", tell(c), c.Revision, last)
			}
			name, last = c.Newest().GetName(), c.Revision
			if was := sum[name]; c.Old == nil && was != "" || c.Old != nil && was != c.Old.GetResourceVersion() {
				b.Fatalf("%s at %d: the version before was %q", tell(c), c.Revision, was)
			}
			if delete(sum, name); c.New != nil {
				sum[name] = c.New.GetResourceVersion()
			}
		}
		shown := 0
		for obj := range b.view().List(configMaps(), "") {
			if shown++; sum[obj.GetName()] != obj.GetResourceVersion() {
				b.Errorf("%s is of %s in a view, and of %q by the stream", obj.GetName(), obj.GetResourceVersion(), sum[obj.GetName()])
			}
		}
		if shown != len(sum) {
			b.Errorf("a view shows %d objects, the stream makes %d", shown, len(sum))
		}
		b.remove(configMaps(), "end", metav1.DeleteOptions{})
		if c := s.next(); tell(c) != "deleted end" {
			b.Fatalf("the stream says %s", tell(c))
		}
		delete(sum, "end")
	}
}

// churn creates, changes or deletes one object, whichever comes next of it. Only one goroutine churns a name.
func churn(b *bench, name string) {
	var obj kinds.Object
	obj, err := b.admin.Get(b.ctx, configMaps(), home, name)
	switch {
	case apierrors.IsNotFound(err):
		_, err = b.admin.Create(b.ctx, configMaps(), configMap(name), metav1.CreateOptions{})
	case err != nil:
	case obj.(*corev1.ConfigMap).Data["k"] == "v":
		_, err = b.admin.Patch(b.ctx, configMaps(), home, name, types.MergePatchType, []byte(`{"data":{"k":"w"}}`), "")
	default:
		_, err = b.admin.Delete(b.ctx, configMaps(), home, name, metav1.DeleteOptions{})
	}
	if err != nil {
		b.Errorf("%s: %v", name, err)
	}
}
