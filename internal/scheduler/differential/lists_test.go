package differential

// pending are families whose rules floe does not have yet, and what is missing. One that passes must go.
var pending = map[string]string{
	"gates":            "scheduling gates stand in the queue, which is not asked here yet",
	"devices":          "resource claims",
	"allocateddevices": "resource claims",
	"extendeddevices":  "resource claims",
	"mixturevolumes":   "resource claims",
	"mixturecrowd":     "resource claims",
}

// exceptions are decisions that differ for a reason, five at most: the case and the pod, as a finding names them.
var exceptions = []struct{ pod, reason string }{}
