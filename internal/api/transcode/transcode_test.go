package transcode_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"

	"github.com/floe-k8s/floe/internal/api/transcode"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

type message interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

func compile(t testing.TB, k *kinds.Kind) *transcode.Form {
	t.Helper()
	f, err := transcode.Compile(reflect.TypeOf(k.New()).Elem())
	if err != nil {
		t.Fatalf("%s: %v", k.GVK.Kind, err)
	}
	return f
}

func pods(t testing.TB) *kinds.Kind {
	t.Helper()
	list := all.Kinds()
	return list[slices.IndexFunc(list, func(k *kinds.Kind) bool { return k.GVK.Kind == "Pod" })]
}

// want is what has to come out: the message decoded, and encoded by encoding/json.
func want(k *kinds.Kind, msg []byte) ([]byte, error) {
	obj := k.New()
	if err := obj.(message).Unmarshal(msg); err != nil {
		return nil, err
	}
	obj.SetResourceVersion("42")
	if k.Complete != nil {
		k.Complete(obj)
	}
	return json.Marshal(obj)
}

// same fails unless f writes the message as it has to; only a message that is unusual may be refused.
func same(t testing.TB, f *transcode.Form, k *kinds.Kind, msg []byte, usual bool) {
	t.Helper()
	got, err := f.Append(nil, msg, 42)
	if errors.Is(err, transcode.ErrUnusual) && !usual {
		return
	}
	want, wantErr := want(k, msg)
	if err != nil && wantErr != nil {
		return // the caller decodes, and has the error
	}
	if err != nil || wantErr != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s %x: %v, %v\n got %s\nwant %s", k.GVK.Kind, msg, err, wantErr, got, want)
	}
}

func filler(seed int64) *randfill.Filler {
	texts := []string{"", "plain", `"quoted\"`, "<&>", "\u2028\u2029", "\xff\xfe", "tab\tline\n\r\b\f\x00\x1f\x7f", "żółw 🐢", "a/b.c=d"}
	amounts := []string{"0", "1", "100m", "1000m", "1500m", "2000", "1Gi", "1024Mi", "1536Ki", "1.5", "0.1", "1e3", "123456789012", "5n", "-3", "1E", "12k"}
	return randfill.NewWithSeed(seed).NilChance(0.3).NumElements(0, 3).MaxDepth(16).Funcs(
		func(v *string, c randfill.Continue) { *v = texts[c.Intn(len(texts))] },
		func(v *metav1.Time, c randfill.Continue) {
			if *v = metav1.Unix(int64(c.Uint32())-1<<31, int64(c.Intn(1e9))); c.Intn(5) == 0 {
				*v = metav1.Time{}
			}
		},
		func(v *metav1.MicroTime, c randfill.Continue) {
			if *v = metav1.NewMicroTime(time.Unix(int64(c.Uint32()), int64(c.Intn(1e9)))); c.Intn(5) == 0 {
				*v = metav1.MicroTime{}
			}
		},
		func(v *resource.Quantity, c randfill.Continue) {
			*v = resource.MustParse(amounts[c.Intn(len(amounts))])
		},
		func(v *intstr.IntOrString, c randfill.Continue) {
			if *v = intstr.FromInt32(int32(c.Uint32())); c.Bool() {
				*v = intstr.FromString(texts[c.Intn(len(texts))])
			}
		},
		func(v *apiextensionsv1.JSON, _ randfill.Continue) { v.Raw = []byte(`{"a": "<1>"}`) },
		func(v *runtime.RawExtension, _ randfill.Continue) { v.Raw = []byte(`{"a":"<1>", "b": 2}`) },
		func(v *metav1.FieldsV1, c randfill.Continue) {
			sets := []string{`{}`, `{"f:a":{".":{},"k:{\"name\":\"x\"}":{}}}`, `{"f:<":{}}`, `{ "f:a": {} }`}
			v.SetRawString(sets[c.Intn(len(sets))])
		},
	)
}

func TestAppendIsWhatJSONMakesOfTheObject(t *testing.T) {
	seed := time.Now().UnixNano()
	fill := filler(seed)
	for _, k := range all.Kinds() {
		f := compile(t, k)
		same(t, f, k, nil, true)
		for range 200 {
			obj := k.New()
			fill.Fill(obj)
			msg, err := obj.(message).Marshal()
			if err != nil {
				t.Fatalf("%s, seed %d: %v", k.GVK.Kind, seed, err)
			}
			same(t, f, k, msg, true)
		}
	}
}

// Real objects have more of what is not there than random ones.
func TestAppendSparse(t *testing.T) {
	k := pods(t)
	f := compile(t, k)
	for _, pod := range []corev1.Pod{
		{},
		{ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{}, Annotations: map[string]string{"b": "", "": "a"}}},
		{Spec: corev1.PodSpec{Containers: []corev1.Container{{}, {Name: "c"}}, Tolerations: []corev1.Toleration{{TolerationSeconds: new(int64)}}}},
		{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}}}}}},
		{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{}}, ContainerStatuses: []corev1.ContainerStatus{{}}}},
	} {
		msg, err := pod.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		same(t, f, k, msg, true)
	}
}

func TestUnusualMessages(t *testing.T) {
	f := compile(t, pods(t))
	for name, msg := range map[string]string{
		"cut off in a tag":              "\x8a",
		"cut off in a length":           "\x0a\x80",
		"cut off in a value":            "\x0a\x05\x0a",
		"a length beyond all":           "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"an unknown field":              "\xf8\x01\x01",
		"a field twice":                 "\x0a\x00\x0a\x00",
		"fields out of order":           "\x12\x00\x0a\x00",
		"another wire type":             "\x08\x01",
		"a group":                       "\x0b\x0c",
		"field 0":                       "\x00\x00",
		"keys of a map out of order":    "\x0a\x0c\x5a\x04\x0a\x00\x12\x00\x5a\x04\x0a\x00\x12\x00",
		"an entry whose value is first": "\x0a\x06\x5a\x04\x12\x00\x0a\x00",
	} {
		if doc, err := f.Append(nil, []byte(msg), 1); !errors.Is(err, transcode.ErrUnusual) {
			t.Errorf("%s: got %s, %v", name, doc, err)
		}
	}
}

type bare struct{ A string }

type odd struct {
	metav1.ObjectMeta `json:"metadata" protobuf:"bytes,1,opt,name=metadata"`
	B                 chan int `json:"b" protobuf:"bytes,2,opt,name=b"`
}

func TestCompileRefuses(t *testing.T) {
	for _, of := range []any{bare{}, odd{}, metav1.Time{}} {
		if f, err := transcode.Compile(reflect.TypeOf(of)); f != nil || !errors.Is(err, transcode.ErrUnsupported) {
			t.Errorf("%T: got %v, %v", of, f, err)
		}
	}
}

func FuzzAppend(f *testing.F) {
	list := all.Kinds()
	forms := make([]*transcode.Form, len(list))
	fill := filler(1)
	for i, k := range list {
		forms[i] = compile(f, k)
		obj := k.New()
		fill.Fill(obj)
		msg, err := obj.(message).Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), msg)
	}
	f.Fuzz(func(t *testing.T, i uint8, msg []byte) {
		at := int(i) % len(list)
		same(t, forms[at], list[at], msg, false)
	})
}

func TestAppendAllocates(t *testing.T) {
	k := pods(t)
	f := compile(t, k)
	msg := realPod(t)
	dst := make([]byte, 0, 16<<10)
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := f.Append(dst, msg, 42); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 0.5 { // what the pool loses to the collector
		t.Errorf("got %v allocations for a pod, want none", allocations)
	}
}

func BenchmarkAppend(b *testing.B) {
	k := pods(b)
	f, msg := compile(b, k), realPod(b)
	b.Run("transcode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(msg)))
		dst := make([]byte, 0, 16<<10)
		for b.Loop() {
			if _, err := f.Append(dst, msg, 42); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(msg)))
		for b.Loop() {
			if _, err := want(k, msg); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// realPod is the message of a pod as clusters are full of.
func realPod(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/pod.json")
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	if err := json.Unmarshal(text, &pod); err != nil {
		t.Fatal(err)
	}
	for i := range pod.ManagedFields { // as the tracker writes them
		var set bytes.Buffer
		if err := json.Compact(&set, pod.ManagedFields[i].FieldsV1.GetRawBytes()); err != nil {
			t.Fatal(err)
		}
		pod.ManagedFields[i].FieldsV1.SetRawBytes(set.Bytes())
	}
	msg, err := pod.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return msg
}
