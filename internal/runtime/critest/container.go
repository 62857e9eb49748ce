package critest

import (
	"os"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// containerCases are the rules of a container's life up to its end.
var containerCases = []testCase{
	{"CreateContainer/the container is created, with what was asked", func(s *suite) {
		pod, podConfig := s.pod()
		config := s.containerConfig("sleep", "forever")
		id, err := s.create(pod, podConfig, config)
		s.must(err)
		st := s.status(id)
		s.want("state", st.State, runtimeapi.ContainerState_CONTAINER_CREATED)
		s.want("metadata", st.Metadata, config.Metadata)
		s.want("labels", st.Labels, config.Labels)
		s.want("annotations", st.Annotations, config.Annotations)
		s.want("log path", st.LogPath, logFile(podConfig, config))
		s.want("started and finished", st.StartedAt+st.FinishedAt, 0)
		if st.CreatedAt <= 0 || st.ImageRef == "" {
			s.Errorf("status %v", st)
		}
	}},
	{"CreateContainer/an absent sandbox is an error", func(s *suite) {
		_, err := s.create("absent", s.podConfig(), s.containerConfig("echo"))
		s.refused("a container in an absent sandbox", err)
	}},
	{"ContainerMetadata/name and attempt are unique within a sandbox", func(s *suite) {
		pod, podConfig := s.pod()
		config := s.containerConfig("echo")
		_, err := s.create(pod, podConfig, config)
		s.must(err)
		_, err = s.create(pod, podConfig, config)
		s.refused("a second container of the same name", err)
		config.Metadata.Attempt++
		_, err = s.create(pod, podConfig, config)
		s.must(err)
	}},
	{"StartContainer/the container runs, and cannot be started again", func(s *suite) {
		_, id := s.sleeper()
		st := s.status(id)
		s.want("state", st.State, runtimeapi.ContainerState_CONTAINER_RUNNING)
		if st.StartedAt < st.CreatedAt || st.FinishedAt != 0 {
			s.Errorf("times %d, %d, %d", st.CreatedAt, st.StartedAt, st.FinishedAt)
		}
		s.refused("a second start", s.start(id))
		s.refused("a start of an absent container", s.start("absent"), codes.NotFound)
	}},
	{"ContainerStatus/tells exit code and times of one that ended", func(s *suite) {
		pod, podConfig := s.pod()
		id := s.runIn(pod, podConfig, func(c *containerConfig) { c.Command = []string{tool, "fail", "--code", "23"} })
		st := s.ended(id)
		s.want("exit code", st.ExitCode, 23)
		if st.FinishedAt < st.StartedAt || st.StartedAt == 0 || st.Reason == "" {
			s.Errorf("status %v", st)
		}
	}},
	{"ContainerStatus/the reason of one that used too much memory is OOMKilled", func(s *suite) {
		pod, podConfig := s.pod()
		id := s.runIn(pod, podConfig, func(c *containerConfig) {
			c.Command = []string{tool, "burn", "--memory", "200000000"}
			c.Linux.Resources.MemoryLimitInBytes, c.Linux.Resources.MemorySwapLimitInBytes = 40<<20, 40<<20
		})
		s.want("reason", s.ended(id).Reason, "OOMKilled")
	}},
	{"ContainerStatus/an absent container is an error", func(s *suite) {
		_, err := s.runtime.ContainerStatus(s.ctx, &runtimeapi.ContainerStatusRequest{ContainerId: "absent"})
		s.refused("status of an absent container", err, codes.NotFound)
	}},
	{"ContainerStatus/info comes only when verbose", func(s *suite) {
		_, id := s.sleeper()
		resp, err := s.runtime.ContainerStatus(s.ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
		s.must(err)
		s.want("info without verbose", len(resp.Info), 0)
	}},
	{"ContainerConfig/log_path is below the sandbox's log directory, in CRI's format", func(s *suite) {
		pod, podConfig := s.pod()
		config := s.containerConfig("echo", "two", "words")
		id, err := s.create(pod, podConfig, config)
		s.must(err)
		s.must(s.start(id))
		s.ended(id)
		data, err := os.ReadFile(logFile(podConfig, config))
		s.must(err)
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d) stdout F two words\n$`).Match(data) {
			s.Errorf("log %q", data)
		}
	}},
	{"ReopenContainerLog/makes a new file after the old one was renamed", func(s *suite) {
		pod, podConfig := s.pod()
		config := s.containerConfig("sleep", "forever")
		id, err := s.create(pod, podConfig, config)
		s.must(err)
		s.must(s.start(id))
		path := logFile(podConfig, config)
		s.must(os.Rename(path, path+".1"))
		_, err = s.runtime.ReopenContainerLog(s.ctx, &runtimeapi.ReopenContainerLogRequest{ContainerId: id})
		s.must(err)
		_, err = os.Stat(path)
		s.must(err)
	}},
	{"ReopenContainerLog/of one that does not run makes a file or an error, not both", func(s *suite) {
		pod, podConfig := s.pod()
		config := s.containerConfig("echo")
		id, err := s.create(pod, podConfig, config)
		s.must(err)
		s.must(s.start(id))
		s.ended(id)
		path := logFile(podConfig, config)
		s.must(os.Remove(path))
		_, err = s.runtime.ReopenContainerLog(s.ctx, &runtimeapi.ReopenContainerLogRequest{ContainerId: id})
		_, missing := os.Stat(path)
		if (err == nil) != (missing == nil) {
			s.Errorf("error %v, file %v", err, missing)
		}
	}},
	{"UpdateContainerResources/limits change while it runs, others stay", func(s *suite) {
		_, id := s.sleeper(func(c *containerConfig) {
			c.Linux.Resources = &runtimeapi.LinuxContainerResources{CpuShares: 256, MemoryLimitInBytes: 100 << 20}
		})
		_, err := s.runtime.UpdateContainerResources(s.ctx, &runtimeapi.UpdateContainerResourcesRequest{
			ContainerId: id, Linux: &runtimeapi.LinuxContainerResources{MemoryLimitInBytes: 150 << 20},
		})
		s.must(err)
		now := s.status(id).GetResources().GetLinux()
		s.want("memory limit", now.GetMemoryLimitInBytes(), 150<<20)
		s.want("CPU shares", now.GetCpuShares(), 256)
		_, err = s.runtime.UpdateContainerResources(s.ctx, &runtimeapi.UpdateContainerResourcesRequest{ContainerId: "absent", Linux: &runtimeapi.LinuxContainerResources{}})
		s.refused("an update of an absent container", err, codes.NotFound)
	}},
}

// stopCases are the rules of a container's end.
var stopCases = []testCase{
	{"StopContainer/one that ends when asked ends in peace", func(s *suite) {
		_, id := s.server()
		s.stop(id, 60)
		s.want("exit code", s.status(id).ExitCode, 0)
	}},
	{"StopContainer/one that does not is killed after the timeout", func(s *suite) {
		// Nobody handles SIGWINCH.
		_, id := s.sleeper(func(c *containerConfig) { c.StopSignal = runtimeapi.Signal_SIGWINCH })
		begin := s.Clock.Now()
		s.stop(id, 1)
		if took := s.Clock.Since(begin); took < time.Second {
			s.Errorf("killed after %s, the timeout is 1s", took)
		}
		st := s.status(id)
		s.want("exit code", st.ExitCode, 137)
		s.want("stop signal", st.StopSignal, runtimeapi.Signal_SIGWINCH)
	}},
	{"StopContainer/a timeout of 0 kills at once", func(s *suite) {
		_, id := s.sleeper()
		s.stop(id, 0)
		s.want("exit code", s.status(id).ExitCode, 137)
	}},
	{"StopContainer/is idempotent", func(s *suite) {
		_, id := s.sleeper()
		for range 2 {
			s.stop(id, 0)
		}
	}},
	{"RemoveContainer/ends a running one, and is idempotent", func(s *suite) {
		_, id := s.sleeper()
		for range 2 {
			_, err := s.runtime.RemoveContainer(s.ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id})
			s.must(err)
		}
		_, err := s.runtime.ContainerStatus(s.ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
		s.refused("status of a removed container", err, codes.NotFound)
	}},
}

// server runs a sandbox with a container that serves HTTP on port 8080 and ends on SIGTERM. It returns when it does.
func (s *suite) server() (pod, id string) {
	s.Helper()
	pod, podConfig := s.pod()
	config := s.containerConfig("serve", "--port", "8080")
	id, err := s.create(pod, podConfig, config)
	s.must(err)
	s.must(s.start(id))
	tick := s.Clock.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if data, err := os.ReadFile(logFile(podConfig, config)); err == nil && strings.Contains(string(data), "serving on") {
			return pod, id
		}
		select {
		case <-tick.C():
		case <-s.ctx.Done():
			s.Fatal("the container does not serve")
		}
	}
}

func (s *suite) stop(id string, seconds int64) {
	s.Helper()
	_, err := s.runtime.StopContainer(s.ctx, &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: seconds})
	s.must(err)
	s.want("state", s.status(id).State, runtimeapi.ContainerState_CONTAINER_EXITED)
}

// processCases are the rules of what a container runs.
var processCases = []testCase{
	{"ContainerConfig/command, args, working directory and environment are the process's", func(s *suite) {
		pod, podConfig := s.pod()
		config := s.containerConfig()
		config.Command, config.Args, config.WorkingDir = []string{"./floe-tool"}, []string{"print", "env"}, "/"
		config.Envs = []*runtimeapi.KeyValue{{Key: "GREETING", Value: []byte("hello = world")}}
		id, err := s.create(pod, podConfig, config)
		s.must(err)
		s.must(s.start(id))
		s.want("exit code", s.ended(id).ExitCode, 0)
		data, err := os.ReadFile(logFile(podConfig, config))
		s.must(err)
		s.contains("log", string(data), "stdout F GREETING=hello = world\n")
	}},
	{"ContainerConfig/tty gives a terminal, and all output is stdout", func(s *suite) {
		pod, podConfig := s.pod()
		config := s.containerConfig("fail")
		config.Tty = true
		id, err := s.create(pod, podConfig, config)
		s.must(err)
		s.must(s.start(id))
		s.ended(id)
		data, err := os.ReadFile(logFile(podConfig, config))
		s.must(err)
		if !strings.Contains(string(data), " stdout F floe-tool: failing") {
			s.Errorf("log %q", data)
		}
	}},
	{"LinuxContainerResources/oom_score_adj is the process's", func(s *suite) {
		_, id := s.sleeper(func(c *containerConfig) { c.Linux.Resources.OomScoreAdj = 900 })
		s.contains("oom_score_adj", s.inside(id, "cat", "/proc/1/oom_score_adj"), "900")
	}},
	{"Signal/the stop signal of a container that names none is told", func(s *suite) {
		_, id := s.sleeper()
		s.want("stop signal", s.status(id).StopSignal, runtimeapi.Signal_SIGTERM)
	}},
}
