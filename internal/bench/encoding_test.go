package bench

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestNumberedTemplatesDecode(t *testing.T) {
	o := &Options{RunID: "x", Image: "i", Kind: "pods"}
	for _, media := range []string{mediaJSON, mediaProtobuf} {
		kind := idlePods()
		raw, err := encode(media, kind.version, kind.example(o))
		if err != nil {
			t.Fatal(err)
		}
		tmpl, err := newTemplate(raw, o.prefix())
		if err != nil {
			t.Fatal(err)
		}
		var buf []byte
		for _, i := range []int{0, 7, 1_234_567, maxObjects} {
			buf = tmpl.number(i, buf)
			pod := &corev1.Pod{}
			if err := decode(buf, pod); err != nil {
				t.Fatalf("%s, number %d: %v", media, i, err)
			}
			if pod.Name != name(o.prefix(), i) || pod.Spec.SchedulerName != nobody {
				t.Errorf("%s, number %d: pod %s of scheduler %s", media, i, pod.Name, pod.Spec.SchedulerName)
			}
			if got, ok := numberIn(buf, o.prefix()); !ok || got != i {
				t.Errorf("%s: numberIn = %d, %v; want %d", media, got, ok, i)
			}
		}
	}
}

func TestNumberInRefusesWhatIsNoName(t *testing.T) {
	for _, text := range []string{"", "bench-x-", "bench-x-12", "bench-x-12345z7", "other-0000001"} {
		if n, ok := numberIn([]byte(text), "bench-x-"); ok {
			t.Errorf("numberIn(%q) = %d, want none", text, n)
		}
	}
}
