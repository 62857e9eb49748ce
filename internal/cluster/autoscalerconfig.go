package cluster

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/podautoscaler"
)

// AutoscalerController says how HorizontalPodAutoscalers are followed. Its fields are kube-controller-manager's flags.
type AutoscalerController struct {
	// AutoscalerSyncPeriod is the time between two looks at a HorizontalPodAutoscaler. Default 15s.
	AutoscalerSyncPeriod metav1.Duration `json:"horizontalPodAutoscalerSyncPeriod,omitempty"`
	// AutoscalerDownscaleStabilization is for how long the highest recommendation counts before replicas are taken away, where an autoscaler does not say it. Default 5m.
	AutoscalerDownscaleStabilization metav1.Duration `json:"horizontalPodAutoscalerDownscaleStabilization"`
	// AutoscalerCPUInitialization is the time after a pod's start in which samples of its CPU may be left out. Default 5m.
	AutoscalerCPUInitialization metav1.Duration `json:"horizontalPodAutoscalerCPUInitializationPeriod"`
	// AutoscalerReadinessDelay is the time after a pod's start in which changes of readiness are taken for its first. Default 30s.
	AutoscalerReadinessDelay metav1.Duration `json:"horizontalPodAutoscalerInitialReadinessDelay"`
	// AutoscalerTolerance is the least change of the ratio of what is to what should be, from 1, that scales. Default 0.1.
	AutoscalerTolerance float64 `json:"horizontalPodAutoscalerTolerance"`
}

func defaultAutoscalerController() AutoscalerController {
	d := podautoscaler.Defaults()
	span := func(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }
	return AutoscalerController{
		AutoscalerSyncPeriod: span(d.Period), AutoscalerDownscaleStabilization: span(d.DownStabilization), AutoscalerCPUInitialization: span(d.CPUInitialization),
		AutoscalerReadinessDelay: span(d.ReadinessDelay), AutoscalerTolerance: d.Tolerance,
	}
}

func (c *AutoscalerController) autoscaling() podautoscaler.Settings {
	return podautoscaler.Settings{
		Period: c.AutoscalerSyncPeriod.Duration, DownStabilization: c.AutoscalerDownscaleStabilization.Duration,
		CPUInitialization: c.AutoscalerCPUInitialization.Duration, ReadinessDelay: c.AutoscalerReadinessDelay.Duration, Tolerance: c.AutoscalerTolerance,
	}
}

func (c *AutoscalerController) validate() (errs []error) {
	if d := c.AutoscalerSyncPeriod.Duration; d <= 0 {
		errs = append(errs, fmt.Errorf("controllers.horizontalPodAutoscalerSyncPeriod: %s: must be above 0", d))
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"DownscaleStabilization", c.AutoscalerDownscaleStabilization.Duration}, {"CPUInitializationPeriod", c.AutoscalerCPUInitialization.Duration},
		{"InitialReadinessDelay", c.AutoscalerReadinessDelay.Duration},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("controllers.horizontalPodAutoscaler%s: %s: must be 0 or more", d.field, d.value))
		}
	}
	if t := c.AutoscalerTolerance; t < 0 || t >= 1 {
		errs = append(errs, fmt.Errorf("controllers.horizontalPodAutoscalerTolerance: %v: must be at least 0 and below 1", t))
	}
	return errs
}
