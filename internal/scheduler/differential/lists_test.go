package differential

// pending are families whose rules floe does not have yet, and what is missing. One that passes must go.
var pending = map[string]string{
	"gates": "scheduling gates stand in the queue, which is not asked here yet",
}

// exceptions are decisions that differ for a reason, five at most: the case and the pod, as a finding names them.
var exceptions = []struct{ pod, reason string }{
	{"mixturecrowd-3 team-a/ask-0", unheard},
	{"mixturecrowd-49 team-b/ask-5", unheard},
}

// unheard is why upstream does not count a nominated pod whose claims are there.
const unheard = "upstream heard of a nominated pod before it heard of the pod's claims, kept it out of the queue, and does not count it " +
	"as nominated until it is tried; floe's answer does not go by who is heard first"
