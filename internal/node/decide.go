package node

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	firstDelay = 10 * time.Second // upstream's back-off of failing containers and images
	mostDelay  = 5 * time.Minute
	forget     = 2 * mostDelay // a container that ran so long begins anew
)

// do is one kind of step.
type do string

const (
	makeSandbox   do = "make sandbox"
	stopSandbox   do = "stop sandbox"
	removeSandbox do = "remove sandbox"
	begin         do = "begin"  // create and start a container
	resume        do = "resume" // start one that was created
	stop          do = "stop"
	remove        do = "remove"
	deletePod     do = "delete pod" // from the API, after all else
)

// action is one step of a plan. Those of one plan do not need each other and may run side by side.
type action struct {
	do      do
	id      string // of the sandbox or container
	name    string // of the container
	attempt uint32
	grace   int64 // seconds, of stop
	why     string
}

// try is what is remembered of one container's failures.
type try struct {
	delay           time.Duration // before the next attempt, from the last one's end; 0: none yet
	at              time.Time     // when delay was set
	reason, message string        // why it cannot begin; "": it could
	until           time.Time     // with a reason: when it is tried again
}

// next doubles the delay.
func (t try) next(now time.Time) try {
	out := try{delay: firstDelay, at: now}
	if t.delay > 0 && now.Sub(t.at) <= forget {
		out.delay = min(2*t.delay, mostDelay)
	}
	return out
}

// failed remembers why a container could not begin, and when it is tried again.
func (t try) failed(now time.Time, reason, message string) try {
	out := t.next(now)
	out.reason, out.message, out.until = reason, message, now.Add(out.delay)
	return out
}

// input is all that a decision rests on.
type input struct {
	pod   *corev1.Pod
	obs   observation
	tries map[string]try // by container
	// sandboxError is why the last sandbox could not be made; "" when it could.
	sandboxError try
	hostIPs      []string
	appArmor     bool // the host enforces it
	now          time.Time
}

// plan is what a decision says. tries holds the entries that change when the actions are carried out. Without actions it is time to wait, until
// again when that is set.
type plan struct {
	actions []action
	tries   map[string]try
	again   time.Time
	status  corev1.PodStatus
	// backOff names the containers that wait, for events.
	backOff []string
}

func (p *plan) later(t time.Time) {
	if p.again.IsZero() || t.Before(p.again) {
		p.again = t
	}
}

func (p *plan) act(a action) { p.actions = append(p.actions, a) }

// decide compares what is wanted with what is there.
//
//	              no sandbox                 init containers, one after another        containers, side by side
//	wanted  ───► make sandbox ───► ready ───► begin ─► exit 0 ─► next ──────────────► begin ─► running ─► exit
//	                ▲                                    └ exit ≠ 0: again or Failed      ▲        by restart policy: again, after a delay
//	                └─ sandbox lost: stop it, then anew                                   └────────┘ or Succeeded / Failed
//
//	deleted, or ended ───► stop containers within the grace ───► stop sandbox ───► (deleted only) remove all ───► delete pod
func decide(in input) plan {
	p := plan{tries: map[string]try{}}
	switch {
	case in.pod.DeletionTimestamp != nil:
		p.end(in, true)
	case ended(in.pod):
		p.end(in, false)
	case p.refuse(in):
		return p
	default:
		p.run(in)
	}
	p.status = statusOf(in, &p)
	if ended(&corev1.Pod{Status: p.status}) && in.pod.DeletionTimestamp == nil && len(p.actions) == 0 {
		p.end(in, false)
	}
	return p
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// refuse fails a pod that asks for what is not served here, before anything of it has begun.
func (p *plan) refuse(in input) bool {
	if len(in.obs.sandboxes) > 0 || len(in.obs.containers) > 0 {
		return false
	}
	if asked := unsupported(&in.pod.Spec); len(asked) > 0 {
		p.status = refusedStatus(in, reasonUnsupported, "this release of floe does not serve "+strings.Join(asked, ", "))
		return true
	}
	if why := appArmorRefusal(in.pod, in.appArmor); why != "" {
		p.status = refusedStatus(in, reasonAppArmor, why)
		return true
	}
	return false
}

// end stops what runs, then clears up. all removes every trace and the pod itself.
func (p *plan) end(in input, all bool) {
	grace := graceOf(in.pod)
	if g := in.pod.DeletionGracePeriodSeconds; g != nil {
		grace = *g
	}
	busy := false
	for _, c := range in.obs.containers {
		if c.state == running {
			busy = true
			p.act(action{do: stop, id: c.id, name: c.name, grace: grace, why: "Stopping container " + c.name})
		}
	}
	if busy {
		return
	}
	for _, s := range in.obs.sandboxes {
		switch {
		case s.ready:
			busy = true
			p.act(action{do: stopSandbox, id: s.id})
		case all:
			busy = true
			p.act(action{do: removeSandbox, id: s.id})
		}
	}
	if all && !busy {
		p.act(action{do: deletePod})
	}
}

// run brings a pod that is to run one step further.
func (p *plan) run(in input) {
	if len(in.obs.sandboxes) == 0 || !in.obs.sandboxes[0].ready {
		p.needSandbox(in)
		return
	}
	current := in.obs.sandboxes[0]
	for _, old := range in.obs.sandboxes[1:] {
		if old.ready {
			p.act(action{do: stopSandbox, id: old.id})
		}
	}
	for i := range in.pod.Spec.InitContainers {
		if !p.initStep(in, current, &in.pod.Spec.InitContainers[i]) {
			return
		}
	}
	for i := range in.pod.Spec.Containers {
		p.step(in, current, &in.pod.Spec.Containers[i])
	}
}

// needSandbox makes one, unless everything has ended for good.
func (p *plan) needSandbox(in input) {
	if finished(in) {
		return
	}
	if e := in.sandboxError; e.reason != "" && in.now.Before(e.until) {
		p.later(e.until)
		return
	}
	attempt := uint32(0)
	if len(in.obs.sandboxes) > 0 {
		attempt = in.obs.sandboxes[0].attempt + 1
	}
	p.act(action{do: makeSandbox, attempt: attempt})
}

// finished says that every container has ended and none begins again.
func finished(in input) bool {
	for i := range in.pod.Spec.Containers {
		last, _ := in.obs.newest(in.pod.Spec.Containers[i].Name)
		if last == nil || last.state != exited || restarts(in.pod.Spec.RestartPolicy, last) {
			return false
		}
	}
	return true
}

// restarts says whether a container that has ended begins again.
func restarts(policy corev1.RestartPolicy, c *container) bool {
	return policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && c.exitCode != 0
}

// initStep brings an init container further; true when it is done. What it did in a sandbox that was lost does not count.
func (p *plan) initStep(in input, box sandbox, spec *corev1.Container) bool {
	last, _ := in.obs.newest(spec.Name)
	switch {
	case last != nil && last.state == exited && last.exitCode == 0 && last.sandbox == box.id:
		return true
	case last != nil && last.state == exited && last.exitCode != 0 && in.pod.Spec.RestartPolicy == corev1.RestartPolicyNever:
		return false // the pod has failed
	case begun(in, box):
		return true // a later step: this one was done, and its container removed since
	}
	p.step(in, box, spec)
	return false
}

// begun says that the pod's containers have begun in this sandbox, so that its init containers must have ended well.
func begun(in input, box sandbox) bool {
	for i := range in.pod.Spec.Containers {
		if c, _ := in.obs.newest(in.pod.Spec.Containers[i].Name); c != nil && c.sandbox == box.id {
			return true
		}
	}
	return false
}

// step brings one container further.
func (p *plan) step(in input, box sandbox, spec *corev1.Container) {
	last, before := in.obs.newest(spec.Name)
	t := in.tries[spec.Name]
	if before != nil && before.state == exited && last.state != created {
		p.removeOlder(in, spec.Name, last, before)
	}
	switch {
	case last != nil && last.state == running && last.hash != hashOf(spec):
		p.act(action{do: stop, id: last.id, name: spec.Name, grace: graceOf(in.pod), why: fmt.Sprintf("Container %s definition changed, will be restarted", spec.Name)})
	case last != nil && last.state == running:
	case t.reason != "" && in.now.Before(t.until):
		p.later(t.until)
	case last == nil:
		p.act(action{do: begin, id: box.id, name: spec.Name})
	case last.state == created && last.sandbox == box.id && last.hash == hashOf(spec):
		p.act(action{do: resume, id: last.id, name: spec.Name, attempt: last.attempt})
	case last.state == created:
		p.act(action{do: remove, id: last.id, name: spec.Name, attempt: last.attempt})
	case !restarts(in.pod.Spec.RestartPolicy, last) && !isInit(in.pod, spec.Name):
	case last.hash == hashOf(spec) && waits(in.now, last, t):
		p.backOff = append(p.backOff, spec.Name)
		p.later(last.finished.Add(t.delay))
	default:
		p.tries[spec.Name] = t.next(in.now)
		p.act(action{do: begin, id: box.id, name: spec.Name, attempt: last.attempt + 1})
	}
}

// graceOf is the pod's own grace period in seconds. A negative one, which old clients wrote, is 1.
func graceOf(pod *corev1.Pod) int64 {
	if g := pod.Spec.TerminationGracePeriodSeconds; g != nil {
		if *g < 0 {
			return 1
		}
		return *g
	}
	return corev1.DefaultTerminationGracePeriodSeconds
}

// waits says that the delay after a container's end is not over.
func waits(now time.Time, last *container, t try) bool {
	return t.delay > 0 && now.Sub(t.at) <= forget && now.Before(last.finished.Add(t.delay))
}

// removeOlder keeps the last two attempts, for status and logs.
func (p *plan) removeOlder(in input, name string, last, before *container) {
	for _, c := range in.obs.containers {
		if c.name == name && c.id != last.id && c.id != before.id && c.state == exited {
			p.act(action{do: remove, id: c.id, name: name, attempt: c.attempt})
		}
	}
}

func isInit(pod *corev1.Pod, name string) bool {
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			return true
		}
	}
	return false
}

// hashOf changes when a running container is no longer what is wanted: of what may change of a pod, its image.
func hashOf(c *corev1.Container) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%s", c.Name, c.Image)
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}
