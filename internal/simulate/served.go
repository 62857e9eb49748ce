package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/simulate/stage"
)

// errStages ends a session: what is played has changed, and all is looked at anew.
var errStages = errors.New("the stages have changed")

func stageResource() client.Resource {
	return schema.GroupVersionResource{Group: stage.Group, Version: stage.Version, Resource: stage.Plural}
}

func definitionResource() client.Resource {
	return schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
}

const stageDefinition = stage.Plural + "." + stage.Group

// readStages joins the stages of the configuration with those that the cluster has.
func (s *Simulator) readStages(view client.View) {
	s.stages = Stages{Nodes: s.cfg.Stages.Nodes[:len(s.cfg.Stages.Nodes):len(s.cfg.Stages.Nodes)], Pods: s.cfg.Stages.Pods[:len(s.cfg.Stages.Pods):len(s.cfg.Stages.Pods)]}
	for obj := range view.List(stageResource(), "") {
		data, err := json.Marshal(obj)
		if err == nil {
			var rule *stage.Rule
			if rule, err = stage.Read("stage "+obj.GetName(), data); err == nil {
				s.stages.add(rule)
			}
		}
		if err != nil {
			s.cfg.Log.Warn("a stage cannot be played and does not count", "err", err)
		}
	}
}

// followStages waits until the cluster's stages have changed, or come to be served, and returns errStages.
func (s *Simulator) followStages(ctx context.Context, view client.View) error {
	definitions, err := s.cfg.Cloud.Watch(ctx, definitionResource(), view.Revision(), "", "")
	if err != nil {
		return fmt.Errorf("watch definitions: %w", err)
	}
	if stages, err := s.cfg.Cloud.Watch(ctx, stageResource(), view.Revision(), "", ""); err == nil {
		if _, err := stages.Next(ctx); err != nil { // it ends when they are served no longer
			return err
		}
		return errStages
	}
	for view.Get(definitionResource(), "", stageDefinition) == nil {
		c, err := definitions.Next(ctx)
		if err != nil {
			return err
		}
		if c.New != nil && c.New.GetName() == stageDefinition {
			break
		}
	}
	return s.awaitStages(ctx, view)
}

// awaitStages waits until stages, whose definition is there, are served: that takes a moment, and nothing tells of it.
func (s *Simulator) awaitStages(ctx context.Context, view client.View) error {
	t := s.cfg.Clock.NewTicker(again)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C():
			if _, err := s.cfg.Cloud.Watch(ctx, stageResource(), view.Revision(), "", ""); !apierrors.IsNotFound(err) {
				return errStages
			}
		}
	}
}
