package node

import (
	"context"
	"fmt"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Reasons for which a container waits for its image.
const (
	reasonPull        = "ErrImagePull"
	reasonPullBackOff = "ImagePullBackOff"
)

// noImage says why a container's image is not to be had: the reason and message of its status. toldReason and toldOf are the event beside the one that
// every container has that cannot begin.
type noImage struct {
	reason, message    string
	toldReason, toldOf string
}

// image finds a container's image among those that are here. Nothing is pulled from registries yet, so that a policy of Always
// is content with the image that is here, too.
func (a *Agent) image(ctx context.Context, c *corev1.Container) (*runtimeapi.Image, *noImage) {
	if _, err := reference.ParseDockerRef(c.Image); err != nil {
		message := fmt.Sprintf("Failed to apply default image tag %q: couldn't parse image name %q: %v", c.Image, c.Image, err)
		return nil, &noImage{"InvalidImageName", message, "InspectFailed", message}
	}
	status, err := a.Runtime.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: c.Image}})
	switch {
	case err != nil:
		message := fmt.Sprintf("Failed to inspect image %q: %v", c.Image, err)
		return nil, &noImage{"ImageInspectError", message, "InspectFailed", message}
	case status.Image != nil:
		return status.Image, nil
	case c.ImagePullPolicy == corev1.PullNever:
		message := fmt.Sprintf("Container image %q is not present with pull policy of Never", c.Image)
		return nil, &noImage{"ErrImageNeverPull", message, "ErrImageNeverPull", message}
	}
	_, err = a.Runtime.PullImage(ctx, &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: c.Image}})
	return nil, &noImage{
		reasonPull, fmt.Sprintf("failed to pull image %q: %v", c.Image, err), "Failed", fmt.Sprintf("Failed to pull image %q: %v", c.Image, err),
	}
}
