package kinds

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// RoundUp makes every quantity in the lists a whole number of thousandths, the finest that the API keeps. It changes them in place.
func RoundUp(lists ...corev1.ResourceList) {
	for _, list := range lists {
		for name, q := range list {
			q.RoundUp(resource.Milli)
			list[name] = q
		}
	}
}
