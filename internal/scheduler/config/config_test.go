package config

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

const head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

// profile is a file with one profile that says text, indented for the list.
func profile(text string) string {
	return head + "profiles:\n- schedulerName: mine\n" + strings.TrimSuffix("  "+strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  "), "  ") + "\n"
}

func arguments(plugin, text string) string {
	return profile("pluginConfig:\n- name: " + plugin + "\n  args:\n    " + strings.ReplaceAll(text, "\n", "\n    "))
}

func TestWhatIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"unknown field":     {head + "parallelism: 3\nparalelism: 3\n", `f:4: unknown field "paralelism"`},
		"other version":     {"apiVersion: kubescheduler.config.k8s.io/v1beta3\nkind: KubeSchedulerConfiguration\n", `f:1: apiVersion "kubescheduler.config.k8s.io/v1beta3", kind "KubeSchedulerConfiguration": must be kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration`},
		"parallelism":       {head + "parallelism: 0\n", "f:3: parallelism: Invalid value: 0: should be an integer value greater than zero"},
		"percentage":        {head + "percentageOfNodesToScore: 101\n", "f:3: percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]"},
		"of a profile":      {profile("percentageOfNodesToScore: -1"), "f:5: profiles[0].percentageOfNodesToScore: Invalid value: -1: not in valid range [0-100]"},
		"backoff":           {head + "podInitialBackoffSeconds: 0\n", "f:3: podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"},
		"most backoff":      {head + "podMaxBackoffSeconds: 5\npodInitialBackoffSeconds: 6\n", "f:3: podMaxBackoffSeconds: Invalid value: 5: must be greater than or equal to PodInitialBackoffSeconds"},
		"lock":              {head + "leaderElection:\n  leaderElect: true\n  resourceLock: endpoints\n", `f:5: leaderElection.resourceLock: Invalid value: "endpoints": resourceLock value must be "leases"`},
		"no name":           {head + "profiles:\n- {}\n- schedulerName: b\n", "f:4: profiles[0].schedulerName: Required value"},
		"name twice":        {head + "profiles:\n- schedulerName: b\n- schedulerName: b\n", "f:5: profiles[1].schedulerName: Duplicate value: {}"},
		"unknown plug-in":   {profile("plugins:\n  filter:\n    enabled:\n    - name: Coscheduling"), `f:8: profiles[0].plugins.filter.enabled[0].name: Not found: "Coscheduling"`},
		"unknown, disabled": {profile("plugins:\n  score:\n    disabled:\n    - name: NodeAfinity"), `f:8: profiles[0].plugins.score.disabled[0].name: Not found: "NodeAfinity"`},
		"removed plug-in":   {profile("plugins:\n  filter:\n    enabled:\n    - name: EBSLimits"), `profiles[0].plugins.filter.enabled[0]: Invalid value: "EBSLimits": was invalid in version "kubescheduler.config.k8s.io/v1" (KubeSchedulerConfiguration is version "kubescheduler.config.k8s.io/v1")`},
		"not of the point":  {profile("plugins:\n  filter:\n    enabled:\n    - name: ImageLocality"), `plugin "ImageLocality" does not extend FilterPlugin plugin`},
		"twice":             {profile("plugins:\n  filter:\n    enabled:\n    - name: NodeName\n    - name: NodeName"), `plugin "NodeName" already registered as "FilterPlugin"`},
		"no binder":         {profile("plugins:\n  bind:\n    disabled:\n    - name: '*'"), `at least one bind plugin is needed for profile with scheduler name "mine"`},
		"no queue sort":     {profile("plugins:\n  queueSort:\n    disabled:\n    - name: PrioritySort"), `only one queue sort plugin required for profile with scheduler name "mine", but got 0`},
		"half a plug-in":    {profile("plugins:\n  preFilter:\n    disabled:\n    - name: NodePorts"), `profiles[0].plugins.preFilter: Invalid value: "NodePorts": is not enabled at preFilter while it is at filter`},
		"config twice":      {profile("pluginConfig:\n- name: NodePorts\n- name: NodePorts"), `f:7: profiles[0].pluginConfig[1]: Duplicate value: "NodePorts"`},
		"config of nobody":  {profile("pluginConfig:\n- name: Nobody"), `f:6: profiles[0].pluginConfig[0].name: Not found: "Nobody"`},
		"unknown argument":  {arguments("NodeResourcesFit", "ignored: []"), `f:8: unknown field "ignored"`},
		"other arguments":   {arguments("NodeResourcesFit", "kind: NodeAffinityArgs"), "f:8: profiles[0].pluginConfig[0].args.kind: Invalid value: \"NodeAffinityArgs\": args for plugin NodeResourcesFit were not of type NodeResourcesFitArgs.kubescheduler.config.k8s.io, got NodeAffinityArgs"},
		"affinity weight":   {arguments("InterPodAffinity", "hardPodAffinityWeight: 101"), "f:8: profiles[0].pluginConfig[0].args.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]"},
		"strategy":          {arguments("NodeResourcesFit", "scoringStrategy:\n  type: Best"), `args.scoringStrategy.type: Unsupported value: "Best": supported values: "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"`},
		"no ratio":          {arguments("NodeResourcesFit", "scoringStrategy:\n  type: RequestedToCapacityRatio"), "args.scoringStrategy.requestedToCapacityRatio: Required value: must be specified when type is RequestedToCapacityRatio"},
		"ratio too much":    {arguments("NodeResourcesFit", "scoringStrategy:\n  type: LeastAllocated\n  requestedToCapacityRatio: {}"), "args.scoringStrategy.requestedToCapacityRatio: Forbidden: must be nil when type is not RequestedToCapacityRatio"},
		"shape":             {arguments("NodeResourcesFit", "scoringStrategy:\n  type: RequestedToCapacityRatio\n  requestedToCapacityRatio:\n    shape:\n    - utilization: 50\n      score: 11\n    - utilization: 50"), "shape[0].score: Invalid value: 11: not in valid range [0, 10]"},
		"resource weight":   {arguments("NodeResourcesFit", "scoringStrategy:\n  type: LeastAllocated\n  resources:\n  - name: cpu\n    weight: 101"), "resources[0].weight: Invalid value: 101: resource weight of cpu not in valid range (0, 100]"},
		"group":             {arguments("NodeResourcesFit", "ignoredResourceGroups: [a/b]"), "args.ignoredResourceGroups[0]: Invalid value: \"a/b\": resource group name can't contain '/'"},
		"balance":           {arguments("NodeResourcesBalancedAllocation", "resources:\n- name: cpu\n  weight: 2"), "args.resources[0].weight: Invalid value: 2: must be 1"},
		"spread":            {arguments("PodTopologySpread", "defaultConstraints:\n- maxSkew: 1\n  topologyKey: zone\n  whenUnsatisfiable: ScheduleAnyway"), `f:3: `},
		"spread key":        {arguments("PodTopologySpread", "defaultingType: List\ndefaultConstraints:\n- maxSkew: 0\n  whenUnsatisfiable: Sometimes"), `args.defaultConstraints[0].whenUnsatisfiable: Unsupported value: "Sometimes": supported values: "DoNotSchedule", "ScheduleAnyway"`},
		"candidates":        {arguments("DefaultPreemption", "minCandidateNodesPercentage: 0\nminCandidateNodesAbsolute: 0"), "args.minCandidateNodesPercentage: Invalid value: 0: cannot be zero at the same time as minCandidateNodesAbsolute"},
		"bind timeout":      {arguments("VolumeBinding", "bindTimeoutSeconds: -1"), "args.bindTimeoutSeconds: Invalid value: -1: invalid BindTimeoutSeconds, should not be a negative value"},
		"device timeout":    {arguments("DynamicResources", "bindingTimeout: 1ms"), "must be at least 1 second"},
		"added affinity":    {arguments("NodeAffinity", "addedAffinity:\n  requiredDuringSchedulingIgnoredDuringExecution:\n    nodeSelectorTerms:\n    - matchExpressions:\n      - key: a\n        operator: Is"), `args.addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator: Unsupported value: "Is"`},
		"extender weight":   {head + "extenders:\n- urlPrefix: http://x\n  prioritizeVerb: p\n", "f:4: extenders[0].weight: Invalid value: 0: must have a positive weight applied to it"},
		"two binders":       {head + "extenders:\n- urlPrefix: http://x\n  bindVerb: b\n- urlPrefix: http://y\n  bindVerb: b\n", `extenders: Invalid value: "found 2 extenders implementing bind": only one extender can implement bind`},
		"native resource":   {head + "extenders:\n- urlPrefix: http://x\n  managedResources:\n  - name: cpu\n", `extenders[0].managedResources[0].name: Invalid value: "cpu": is an invalid extended resource name`},
	} {
		want := c.want
		if name == "spread" {
			want = `args.defaultingType: Invalid value: "System": when .defaultConstraints are not empty`
		}
		_, err := Decode("f", []byte(c.file))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v\nwant %s", name, err, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	c, err := Decode("f", []byte(head))
	if err != nil {
		t.Fatal(err)
	}
	if want := Default(); !reflect.DeepEqual(c, want) {
		t.Errorf("an empty file is\n%+v\nand none\n%+v", c, want)
	}
	if got, want := c.Profiles[0].Place(nil), place.DefaultProfile(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	filters := "NodeUnschedulable NodeName TaintToleration NodeAffinity NodePorts NodeResourcesFit VolumeRestrictions NodeVolumeLimits VolumeBinding VolumeZone " +
		"PodTopologySpread InterPodAffinity DynamicResources NodeDeclaredFeatures"
	if got := strings.Join(c.Profiles[0].Filters, " "); got != filters || !c.Profiles[0].Preemption || !c.Profiles[0].Gates {
		t.Errorf("filters %s\nwant    %s", got, filters)
	}
}

func TestProfiles(t *testing.T) {
	c, err := Decode("f", []byte(head+`
podMaxBackoffSeconds: 3
parallelism: 4
clientConnection: {qps: 5}
profiles:
- schedulerName: packed
  plugins:
    multiPoint:
      disabled: [{name: InterPodAffinity}]
      enabled: [{name: ImageLocality, weight: 7}]
    score:
      disabled: [{name: TaintToleration}]
      enabled: [{name: NodeAffinity, weight: 9}]
    postFilter:
      disabled: [{name: "*"}]
  pluginConfig:
  - name: NodeResourcesFit
    args:
      apiVersion: kubescheduler.config.k8s.io/v1
      kind: NodeResourcesFitArgs
      ignoredResources: [example.com/a]
      scoringStrategy: {type: MostAllocated, resources: [{name: memory}]}
  - name: PodTopologySpread
    args: {defaultingType: List}
- schedulerName: only
  plugins:
    filter: {disabled: [{name: "*"}], enabled: [{name: NodeName}]}
    score: {disabled: [{name: "*"}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	packed, only := c.Profiles[0].Place(nil), c.Profiles[1].Place(nil)
	scores := []place.Weighted{{Name: "NodeAffinity", Weight: 9}, {Name: "NodeResourcesFit", Weight: 1}, {Name: "PodTopologySpread", Weight: 2},
		{Name: "NodeResourcesBalancedAllocation", Weight: 1}, {Name: "ImageLocality", Weight: 7}}
	if !reflect.DeepEqual(packed.Scores, scores) || strings.Contains(strings.Join(packed.Filters, " "), "InterPodAffinity") || c.Profiles[0].Preemption {
		t.Errorf("scores %v, want %v; filters %v; preemption %v", packed.Scores, scores, packed.Filters, c.Profiles[0].Preemption)
	}
	if packed.Strategy != place.MostAllocated || packed.Resources[0] != (place.Weighted{Name: "memory", Weight: 1}) || packed.SystemSpread ||
		packed.IgnoredResources[0] != "example.com/a" {
		t.Errorf("arguments %+v", packed)
	}
	if len(only.Scores) != 0 || !reflect.DeepEqual(only.Filters, []string{"NodeName"}) {
		t.Errorf("filters %v, scores %v", only.Filters, only.Scores)
	}
	if c.First != time.Second || c.Most != 3*time.Second || len(c.Warnings) != 2 {
		t.Errorf("backoff %v to %v, warnings %q", c.First, c.Most, c.Warnings)
	}
	for _, p := range []place.Profile{packed, only} {
		if _, err := p.Compile(); err != nil {
			t.Error(err)
		}
	}
}
