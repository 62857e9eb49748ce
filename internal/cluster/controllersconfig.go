package cluster

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Controllers says how controllers do their work. Its flags are kube-controller-manager's.
type Controllers struct {
	// ClusterSigningDuration is how long certificates last that are signed for approved requests, when these do not ask for less. Default 8760h, a year.
	ClusterSigningDuration metav1.Duration `json:"clusterSigningDuration,omitempty"`
}

func defaultControllers() Controllers {
	return Controllers{ClusterSigningDuration: metav1.Duration{Duration: 365 * 24 * time.Hour}}
}

func (c *Controllers) validate() (errs []error) {
	if d := c.ClusterSigningDuration.Duration; d <= 0 {
		errs = append(errs, fmt.Errorf("controllers.clusterSigningDuration: %s: must be above 0", d))
	}
	return errs
}
