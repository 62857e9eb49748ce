package differential

// pending are families whose rules floe does not have yet, and what is missing. One that passes must go.
var pending = map[string]string{
	"gates":              "scheduling gates stand in the queue, which is not asked here yet",
	"boundvolumes":       "volumes",
	"unboundvolumes":     "volumes",
	"volumelimits":       "volumes",
	"volumerestrictions": "volumes",
	"volumes":            "volumes",
	"devices":            "resource claims",
	"allocateddevices":   "resource claims",
	"extendeddevices":    "resource claims",
	"preemptionrules":    "volumes",
	"mixturevolumes":     "volumes, resource claims",
	"mixturecrowd":       "volumes, resource claims, preemption",
}

// exceptions are decisions that differ for a reason, five at most: the case and the pod, as a finding names them.
var exceptions = []struct{ pod, reason string }{}
