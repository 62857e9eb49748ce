package cluster

import (
	"context"
	"fmt"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/simulate"
)

// Simulation says which nodes do not exist, and run pods all the same.
type Simulation struct {
	// Nodes is how many there are. Default 0: as many as ConfigFile says, or none.
	Nodes int `json:"nodes,omitempty"`
	// ConfigFile says what they are like and how they and their pods behave: a SimulationConfiguration, kwok's Stages, or both. Default "".
	ConfigFile string `json:"configFile,omitempty"`
}

func (s *Simulation) wanted() bool { return s.Nodes > 0 || s.ConfigFile != "" }

func (s *Simulation) validate() (errs []error) {
	if s.Nodes < 0 {
		errs = append(errs, fmt.Errorf("simulation.nodes: %d: must not be negative", s.Nodes))
	}
	return errs
}

// read is the profile and the stages, complete.
func (s *Simulation) read() (p simulate.Profile, stages simulate.Stages, err error) {
	if s.ConfigFile != "" {
		if p, stages, err = simulate.LoadFile(s.ConfigFile); err != nil {
			return p, stages, fmt.Errorf("simulation.configFile: %w", err)
		}
	}
	if s.Nodes > 0 {
		p.SetCount(s.Nodes)
	}
	if errs := p.Validate(); len(errs) > 0 {
		return p, stages, fmt.Errorf("simulation: %w", errs.ToAggregate())
	}
	return p, stages, nil
}

// simulationUser sees to what clouds do to nodes, and to what stages change of objects.
const simulationUser = "system:floe:simulation"

// simulated is the part that simulates nodes.
func (s *server) simulated() (part, error) {
	profile, stages, err := s.Config.Simulation.read()
	if err != nil {
		return part{}, err
	}
	log := s.Log.With("component", "simulation")
	sim := simulate.New(simulate.Config{
		Profile: profile, Stages: stages, Clock: s.Clock, Log: log, Metrics: s.simulation, KubernetesVersion: KubernetesVersion,
		As:    func(node string) client.Client { return s.client("system:node:"+node, auth.Nodes) },
		Cloud: s.client(simulationUser, auth.Masters),
	})
	return part{"simulation", func(ctx context.Context) error {
		log.Info("nodes are simulated", "nodes", profile.Count(), "podStages", len(stages.Pods), "nodeStages", len(stages.Nodes))
		return sim.Run(ctx)
	}}, nil
}
