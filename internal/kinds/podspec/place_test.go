package podspec

import (
	"math/rand"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// TestPlace goes the same random ways as a place and as a path.
func TestPlace(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewSource(seed))
	for range 2000 {
		path := field.NewPath("spec")
		p := place{up: path}
		for range r.Intn(9) {
			switch i := r.Intn(4); i {
			case 0:
				p, path = p.nth(i), path.Index(i)
			case 1:
				p, path = p.key("k"), path.Key("k")
			case 2:
				p, path = p.key(""), path.Key("")
			default:
				p, path = p.in("a", "b"), path.Child("a", "b")
			}
			if p.String() != path.String() {
				t.Fatalf("seed %d: got %s, want %s", seed, p, path)
			}
		}
	}
	if got := (place{}).in("spec").nth(2).String(); got != "spec[2]" {
		t.Errorf("from nowhere: got %s, want spec[2]", got)
	}
}

// right is a pod as most are.
func right() *corev1.Pod {
	seconds := int64(300)
	stay := corev1.Toleration{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds}
	pod := &corev1.Pod{}
	pod.Name = "p"
	pod.Spec = corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst, SecurityContext: &corev1.PodSecurityContext{},
		TerminationGracePeriodSeconds: new(int64), Tolerations: []corev1.Toleration{stay, stay},
		Containers: []corev1.Container{{
			Name: "c", Image: "i:1", ImagePullPolicy: corev1.PullIfNotPresent, TerminationMessagePolicy: corev1.TerminationMessageReadFile,
			Ports:     []corev1.ContainerPort{{ContainerPort: 80, Protocol: corev1.ProtocolTCP}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
		}},
	}
	return pod
}

// TestRightPodNeedsFewObjects: what is right is not told where it would be wrong.
func TestRightPodNeedsFewObjects(t *testing.T) {
	pod := right()
	if errs := ValidatePod(pod, nil); len(errs) > 0 {
		t.Fatal(errs)
	}
	const most = 16
	if n := testing.AllocsPerRun(100, func() { ValidatePod(pod, nil) }); n > most {
		t.Errorf("ValidatePod allocates %v objects, want at most %d", n, most)
	}
}

func BenchmarkValidatePod(b *testing.B) {
	pod := right()
	b.ReportAllocs()
	for b.Loop() {
		ValidatePod(pod, nil)
		ValidateNewPod(pod)
		PodWarnings(pod)
	}
}
