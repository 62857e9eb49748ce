package revision_test

import (
	"math"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/controller/revision"
)

func template(image string) *corev1.PodTemplateSpec {
	return &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"foo": "bar"}, Annotations: map[string]string{"note": "a<b"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image, Env: []corev1.EnvVar{{Name: "A", Value: "1"}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("0.5")}}}}},
	}
}

func record(name string, number int64, t *corev1.PodTemplateSpec) *appsv1.ControllerRevision {
	return &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: runtime.RawExtension{Raw: revision.Data(t)}, Revision: number}
}

// TestData: the text is upstream's: sorted names, the patch's directive among them, HTML escaped.
func TestData(t *testing.T) {
	const want = `{"spec":{"template":{"$patch":"replace","metadata":{"annotations":{"note":"a\u003cb"},"labels":{"foo":"bar"}},"spec":{"containers":[` +
		`{"env":[{"name":"A","value":"1"}],"image":"one","name":"c","resources":{"requests":{"cpu":"500m"}}}]}}}}`
	if got := string(revision.Data(template("one"))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !revision.Holds(record("r", 1, template("one")), []byte(want)) || revision.Holds(record("r", 1, template("two")), []byte(want)) {
		t.Error("a revision does not hold its own data, or holds another's")
	}
}

// TestTemplate: nothing of the template that is there remains, not even in lists and maps that a merge would join.
func TestTemplate(t *testing.T) {
	now := template("two")
	now.Labels["new"] = "label"
	now.Spec.Containers = append(now.Spec.Containers, corev1.Container{Name: "another"})
	got, err := revision.Template(now, record("r", 1, template("one")))
	if err != nil || !equality.Semantic.DeepEqual(got, template("one")) {
		t.Errorf("restored %+v, %v", got, err)
	}
	broken := record("broken", 1, now)
	broken.Data.Raw = []byte("{")
	if _, err := revision.Template(now, broken); err == nil || !strings.Contains(err.Error(), "revision default/broken") {
		t.Errorf("restoring what is no JSON: %v", err)
	}
}

// TestHashes: they depend on what they are of, on collisions, and on whether these were ever counted.
func TestHashes(t *testing.T) {
	none, one := int32(0), int32(1)
	seen := map[string]string{}
	see := func(what, hash string) {
		if was, ok := seen[hash]; ok || hash == "" {
			t.Errorf("%s and %s have the hash %q", was, what, hash)
		}
		seen[hash] = what
	}
	for _, image := range []string{"one", "two"} {
		for name, collisions := range map[string]*int32{"not counted": nil, "none": &none, "one": &one} {
			see("data "+image+" "+name, revision.DataHash(revision.Data(template(image)), collisions))
			see("template "+image+" "+name, revision.TemplateHash(template(image), collisions))
		}
	}
	// A name that an upstream of these days gave: its own test of compatibility keeps the object.
	const recorded = `{"spec":{"template":{"$patch":"replace","metadata":{"annotations":{"test":"value"},"labels":{"app":"foo"}},"spec":{"containers":[{"image":"test",` +
		`"imagePullPolicy":"Always","name":"test","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst",` +
		`"restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}}}`
	if got := revision.DataHash([]byte(recorded), &none); got != "776999688b" {
		t.Errorf("hash %q", got)
	}
}

func TestNames(t *testing.T) {
	if got := revision.Name("web", "abc"); got != "web-abc" {
		t.Errorf("name %s", got)
	}
	if got := revision.Name(strings.Repeat("a", 230), "abc"); got != strings.Repeat("a", 223)+"-abc" {
		t.Errorf("name %s of %d bytes", got, len(got))
	}
}

func TestOrder(t *testing.T) {
	if got := revision.Next(nil); got != 1 {
		t.Errorf("the first revision is %d", got)
	}
	list := []*appsv1.ControllerRevision{record("b", 2, template("")), record("c", 1, template("")), record("a", 2, template("")), record("old", 2, template(""))}
	for i, age := range []time.Duration{0, 0, 0, -time.Hour} {
		list[i].CreationTimestamp = metav1.NewTime(time.Unix(math.MaxInt32, 0).Add(age))
	}
	revision.Sort(list)
	var got []string
	for _, r := range list {
		got = append(got, r.Name)
	}
	if strings.Join(got, " ") != "c old a b" || revision.Next(list) != 3 {
		t.Errorf("sorted %v, next %d", got, revision.Next(list))
	}
}
