package simulate

import (
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/simulate/podlife"
)

// The type of a profile's file.
const (
	ProfileAPIVersion = "config.floe.dev/v1alpha1"
	ProfileKind       = "SimulationConfiguration"
)

// Profile says which nodes are simulated and how they and their pods behave.
type Profile struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`

	// Seed decides all that looks like chance. The same seed, nodes and pods (by UID) behave alike.
	Seed uint64 `json:"seed,omitempty"`
	// Nodes are groups of nodes that are alike. They are numbered from 0, through all groups.
	Nodes []Group `json:"nodes,omitempty"`
	// Pods say how pods behave: the first rule that matches a pod counts. Without one they run, at once and for ever.
	Pods []Rule `json:"pods,omitempty"`
	// NodeAddresses is where nodes get theirs from. Default 198.18.0.0/15, which is kept for benchmarks (RFC 2544).
	NodeAddresses string `json:"nodeAddresses,omitempty"`
	// PodAddresses is where nodes get their pods' ranges from, a /24 each. Default 240.0.0.0/4, which is routed nowhere.
	PodAddresses string `json:"podAddresses,omitempty"`
	// LeaseEvery is how often nodes renew their leases. Default 10s.
	LeaseEvery metav1.Duration `json:"leaseEvery,omitzero"`
	// StatusEvery is how often nodes write their status although nothing changed. Default 5m.
	StatusEvery metav1.Duration `json:"statusEvery,omitzero"`
	// Events tells of pods what kubelets would: images pulled, containers started and stopped.
	Events bool `json:"events,omitempty"`
}

// Group is nodes that are alike.
type Group struct {
	// Count is how many there are.
	Count int `json:"count"`
	// Name begins their names, before the number. Default "sim-".
	Name        string            `json:"name,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Taints      []corev1.Taint    `json:"taints,omitempty"`
	// Zones are given to the nodes in turn, as topology.kubernetes.io/zone; Region to all.
	Zones  []string `json:"zones,omitempty"`
	Region string   `json:"region,omitempty"`
	// Allocatable is what pods may take. Default 32 CPUs, 256Gi of memory, 1Ti of ephemeral storage, 110 pods; what is named here replaces or adds to that.
	Allocatable corev1.ResourceList `json:"allocatable,omitempty"`
	// Join is how long after the begin a node registers.
	Join podlife.Range `json:"join,omitzero"`
	// Failures befall them, each by itself.
	Failures []Failure `json:"failures,omitempty"`
}

// FailureKind is what befalls a node.
type FailureKind string

// The kinds.
const (
	// Partition: nothing is heard of the node, while its pods run on.
	Partition FailureKind = "partition"
	// Crash: the same, and all its containers have ended when it comes back.
	Crash FailureKind = "crash"
	// Removal: the same as Crash, and the Node object is deleted, as clouds do. It registers anew when it comes back.
	Removal FailureKind = "removal"
)

// Failure is something that befalls nodes.
type Failure struct {
	Kind FailureKind `json:"kind"`
	// Share is how many of the group's nodes it befalls, 0 to 1. Default 1.
	Share *float64 `json:"share,omitempty"`
	// After is when it does, from the node's begin, or from the end of the last failure.
	After podlife.Range `json:"after"`
	// For is how long it lasts. nil: for ever.
	For *podlife.Range `json:"for,omitempty"`
	// Repeat lets it befall them again.
	Repeat bool `json:"repeat,omitempty"`
}

// Rule is how some pods behave.
type Rule struct {
	Match             Match `json:"match,omitzero"`
	podlife.Behaviour `json:",inline"`
}

// Match selects pods: by all that it names.
type Match struct {
	Namespaces []string          `json:"namespaces,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	// Owner is the kind of an owner, such as Job.
	Owner string `json:"owner,omitempty"`
	// Images are what containers are of, one of which the pod has, as pods name them.
	Images []string `json:"images,omitempty"`
	// Commands are commands with their arguments, with blanks between, one of which a container of the pod runs.
	Commands []string `json:"commands,omitempty"`
	// NodeLabels are those of the pod's node.
	NodeLabels map[string]string `json:"nodeLabels,omitempty"`
}

const (
	defaultPrefix        = "sim-"
	defaultNodeAddresses = "198.18.0.0/15"
	defaultPodAddresses  = "240.0.0.0/4"
	podBits              = 24 // of a node's range of addresses
	defaultLeaseEvery    = 10 * time.Second
	defaultStatusEvery   = 5 * time.Minute
	leaseTimes           = 4 // a lease lasts so many renewals, as a kubelet's does
)

// complete fills in the defaults.
func (p *Profile) complete() {
	if p.NodeAddresses == "" {
		p.NodeAddresses = defaultNodeAddresses
	}
	if p.PodAddresses == "" {
		p.PodAddresses = defaultPodAddresses
	}
	if p.LeaseEvery.Duration == 0 {
		p.LeaseEvery.Duration = defaultLeaseEvery
	}
	if p.StatusEvery.Duration == 0 {
		p.StatusEvery.Duration = defaultStatusEvery
	}
	for i := range p.Nodes {
		g := &p.Nodes[i]
		if g.Name == "" {
			g.Name = defaultPrefix
		}
		list := corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("256Gi"),
			corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"), corev1.ResourcePods: resource.MustParse("110"),
		}
		for name, q := range g.Allocatable {
			list[name] = q
		}
		g.Allocatable = list
	}
}

// Count is how many nodes there are in all groups.
func (p *Profile) Count() (n int) {
	for i := range p.Nodes {
		n += p.Nodes[i].Count
	}
	return n
}

// SetCount makes the first group have n nodes; there is one then.
func (p *Profile) SetCount(n int) {
	if len(p.Nodes) == 0 {
		p.Nodes = []Group{{}}
	}
	p.Nodes[0].Count = n
}

// Validate fills in the defaults and reports every field that is out of range.
func (p *Profile) Validate() (errs field.ErrorList) {
	p.complete()
	for i := range p.Nodes {
		errs = append(errs, p.Nodes[i].validate(field.NewPath("nodes").Index(i))...)
	}
	for i := range p.Pods {
		at, r := field.NewPath("pods").Index(i), &p.Pods[i]
		if !r.Outcome.Known() {
			errs = append(errs, field.NotSupported(at.Child("outcome"), r.Outcome, podlife.Outcomes()))
		}
		if r.ExitCode < 0 || r.ExitCode > 255 {
			errs = append(errs, field.Invalid(at.Child("exitCode"), r.ExitCode, "must be from 0 to 255"))
		}
		if r.Failures < 0 {
			errs = append(errs, field.Invalid(at.Child("failures"), r.Failures, "must not be negative"))
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"leaseEvery", p.LeaseEvery.Duration}, {"statusEvery", p.StatusEvery.Duration}} {
		if d.value < 100*time.Millisecond {
			errs = append(errs, field.Invalid(field.NewPath(d.name), d.value.String(), "must be at least 100ms"))
		}
	}
	return append(errs, p.validateAddresses()...)
}

func (p *Profile) validateAddresses() (errs field.ErrorList) {
	for _, r := range []struct {
		name, text string
		bits       int // of one node's part
	}{{"nodeAddresses", p.NodeAddresses, 32}, {"podAddresses", p.PodAddresses, podBits}} {
		at := field.NewPath(r.name)
		prefix, err := netip.ParsePrefix(r.text)
		if err != nil || !prefix.Addr().Is4() || prefix.Masked() != prefix || prefix.Bits() > r.bits {
			errs = append(errs, field.Invalid(at, r.text, fmt.Sprintf("must be an IPv4 range of at least a /%d", r.bits)))
			continue
		}
		if room := 1 << (r.bits - prefix.Bits()); r.bits-prefix.Bits() < 31 && p.Count() >= room { // the first address is the network's own
			errs = append(errs, field.Invalid(at, r.text, fmt.Sprintf("has room for %d nodes, not for %d", room-1, p.Count())))
		}
	}
	return errs
}

func (g *Group) validate(at *field.Path) (errs field.ErrorList) {
	if g.Count < 0 {
		errs = append(errs, field.Invalid(at.Child("count"), g.Count, "must not be negative"))
	}
	for _, msg := range validation.IsDNS1123Subdomain(g.Name + "0") {
		errs = append(errs, field.Invalid(at.Child("name"), g.Name, msg))
	}
	for i := range g.Failures {
		f, at := &g.Failures[i], at.Child("failures").Index(i)
		switch f.Kind {
		case Partition, Crash, Removal:
		default:
			errs = append(errs, field.NotSupported(at.Child("kind"), f.Kind, []FailureKind{Partition, Crash, Removal}))
		}
		if f.Share != nil && (*f.Share < 0 || *f.Share > 1) {
			errs = append(errs, field.Invalid(at.Child("share"), *f.Share, "must be from 0 to 1"))
		}
		if f.Repeat && (f.For == nil || f.After.Least+f.For.Least < time.Second) {
			errs = append(errs, field.Invalid(at.Child("repeat"), true, "needs for, and at least a second from one begin to the next"))
		}
	}
	return errs
}
