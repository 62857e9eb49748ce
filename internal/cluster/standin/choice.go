package standin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/floe-k8s/floe/internal/cluster"
)

// Variable is the environment variable that says what runs beside the API and cluster.Housekeeping.
const Variable = "FLOE_ENVTEST"

// Choice is what Variable asks for. The zero value asks for nothing more.
type Choice struct {
	Controllers []string // as cluster.Controllers.Enabled, before cluster.Housekeeping
	Scheduler   bool
	Nodes       int // that do not exist
}

// ParseChoice reads Variable's value, words with commas between:
//
//	workloads    all controllers that kube-controller-manager runs by default
//	scheduler    pods are scheduled
//	nodes=N      N nodes that do not exist, and run the pods that are bound to them; they are authorized by the mode Node, whether or not it was asked for
//	NAME, -NAME  one controller more or less, by upstream's name
//
// Whether a name is a controller's is checked with the configuration.
func ParseChoice(text string) (c Choice, err error) {
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		count, isNodes := strings.CutPrefix(word, "nodes=")
		switch {
		case word == "":
		case word == "workloads":
			c.Controllers = append(c.Controllers, "*")
		case word == "scheduler":
			c.Scheduler = true
		case isNodes:
			if c.Nodes, err = strconv.Atoi(count); err != nil || c.Nodes < 0 {
				return c, fmt.Errorf("%s: %q: must be a number of nodes, such as nodes=3", Variable, word)
			}
		case strings.Contains(word, "="):
			return c, fmt.Errorf("%s: %q: must be workloads, scheduler, nodes=N, or a controller's name, with a - before it for one less", Variable, word)
		default:
			c.Controllers = append(c.Controllers, word)
		}
	}
	return c, nil
}

func (c Choice) apply(cfg *cluster.Config) {
	// The first entry that concerns a controller counts: what was chosen stands before what is there anyhow.
	cfg.Controllers.Enabled = slices.Concat(c.Controllers, cfg.Controllers.Enabled)
	if c.Scheduler {
		cfg.Scheduler.Disabled = false
	}
	if c.Nodes > 0 {
		cfg.AddNodes(c.Nodes)
		if mode := &cfg.API.Authorization.Mode; len(*mode) > 0 && !slices.Contains(*mode, "Node") {
			*mode = append([]string{"Node"}, *mode...) // envtest asks for RBAC alone, in which no role is a node's
		}
	}
}
