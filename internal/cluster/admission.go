package cluster

import "github.com/floe-k8s/floe/internal/admission"

// plugins are the admission plug-ins that are not pure. Those of webhooks and policies belong here too.
func plugins() []admission.Plugin {
	return nil
}
