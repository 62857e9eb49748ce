package cluster

import (
	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/noderestriction"
	"github.com/floe-k8s/floe/internal/admission/resourcequota"
)

// plugins are the admission plug-ins that are not pure. Those of webhooks and policies belong here too.
func plugins() []admission.Plugin {
	return []admission.Plugin{noderestriction.Plugin(), resourcequota.New(nil)}
}
