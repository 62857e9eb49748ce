package shim

import (
	"encoding/json"
	"errors"
)

// Version is the protocol this package speaks.
const Version = 1

// SocketName and LogName are the shim's socket and its own log (not a container's) inside the sandbox's directory; StateName is the
// file it keeps per container, below ContainersDir/CONTAINER.
const (
	SocketName    = "shim.sock"
	LogName       = "shim.log"
	ContainersDir = "c"
	StateName     = "state.json"
	RootfsName    = "rootfs"
	LayersDir     = "layers" // beside RootfsName: layers on their way into an overlay, ID-mapped
)

// Methods of requests, and the one event.
const (
	MethodHello    = "hello"    // HelloRequest → HelloReply; must be first
	MethodStart    = "start"    // StartRequest → ContainerState
	MethodSignal   = "signal"   // SignalRequest → nothing
	MethodReopen   = "reopen"   // ReopenRequest → nothing
	MethodExec     = "exec"     // ExecRequest and descriptors (Streams) → nothing, once the process runs; ExecReply comes through the leash
	MethodAttach   = "attach"   // AttachRequest and descriptors (Streams) → nothing
	MethodResize   = "resize"   // ResizeRequest → nothing
	MethodUpdate   = "update"   // UpdateRequest → nothing
	MethodShutdown = "shutdown" // nothing → the shim ends, which is the answer. Refused while a container runs
	EventState     = "state"    // ContainerState
)

// HelloRequest opens a connection.
type HelloRequest struct {
	Version int `json:"version"`
}

// HelloReply says who answers and how its containers are. After it every change arrives as an event.
type HelloReply struct {
	Version int `json:"version"`
	// PID and StartTime (clock ticks after boot, as /proc/PID/stat has it) identify the shim beyond reuse of the number.
	PID        int              `json:"pid"`
	StartTime  uint64           `json:"startTime"`
	Containers []ContainerState `json:"containers,omitempty"`
}

// StartRequest makes and starts a container. Paths are absolute and of floe's mount namespace.
type StartRequest struct {
	ID string `json:"id"`
	// Spec is an OCI runtime configuration whose root.path the shim sets to the overlay it mounts.
	Spec json.RawMessage `json:"spec"`
	// Lower are the layers, uppermost first; at least one. Upper and Work exist and are empty.
	Lower []string `json:"lower"`
	Upper string   `json:"upper"`
	Work  string   `json:"work"`
	// Filters is a directory of compiled seccomp filters, which the shim uses and adds to; "" for none.
	Filters string `json:"filters,omitempty"`
	// Volumes are images to be mounted as volumes; mounts of Spec whose source is a volume's Target are led to its SubPath.
	Volumes []Volume `json:"volumes,omitempty"`
	// Users is the path of the user namespace that layers are mapped to; "" for none. Then Rootfs is where the root file system is mounted, a
	// place that its root may reach, and RootUID and RootGID are its root's numbers on the host.
	Users   string `json:"users,omitempty"`
	Rootfs  string `json:"rootfs,omitempty"`
	RootUID int    `json:"rootUID,omitempty"`
	RootGID int    `json:"rootGID,omitempty"`
	// Program is the absolute path of another OCI runtime that is to run the container; "" for the shim's own.
	Program string `json:"program,omitempty"`
	// LogPath is the file to append output to in CRI's format; "" drops it.
	LogPath string `json:"logPath,omitempty"`
	// Stdin keeps standard input open; else it is empty. StdinOnce closes it when the first attached standard input ends.
	Stdin     bool `json:"stdin,omitempty"`
	StdinOnce bool `json:"stdinOnce,omitempty"`
}

// SharedPID, as the path of a PID namespace in a StartRequest's Spec, means the one that the sandbox's containers share.
const SharedPID = "shared"

// Volume is an image mounted read-only at Target, in a directory that exists.
type Volume struct {
	Target string `json:"target"`
	// Lower are the image's layers, uppermost first; at least one.
	Lower []string `json:"lower"`
	// SubPath is what of the image is asked; "" for all. Links in it mean what they mean inside the image.
	SubPath string `json:"subPath,omitempty"`
}

// SignalRequest sends a signal to a container's first process; SIGKILL ends all of its processes.
type SignalRequest struct {
	ID     string `json:"id"`
	Signal int    `json:"signal"`
}

// ReopenRequest makes the shim open the container's log anew, because the old file was renamed.
type ReopenRequest struct {
	ID string `json:"id"`
}

// WantStreams says which standard streams an exec or attach has; their descriptors follow its leash in this order.
type WantStreams struct {
	Stdin  bool `json:"stdin,omitempty"`
	Stdout bool `json:"stdout,omitempty"`
	Stderr bool `json:"stderr,omitempty"`
}

// ExecRequest runs one more process in a running container, with the container's user, environment and capabilities.
type ExecRequest struct {
	ID   string   `json:"id"`
	Args []string `json:"args"`
	// Terminal gives the process a terminal, whose other end is sent to the socket that comes as Stdin; the other streams are not asked then.
	Terminal bool `json:"terminal,omitempty"`
	WantStreams
}

// ExecReply is the end of an exec.
type ExecReply struct {
	ExitCode int `json:"exitCode"`
}

// AttachRequest sends a copy of a container's output, from now on, to Stdout and Stderr, and what comes from Stdin to the container's
// standard input, until the leash's other end is closed or the container ends. Who does not read is cut off, lest the container waits.
type AttachRequest struct {
	ID string `json:"id"`
	WantStreams
}

// ResizeRequest sets the size, in characters, of the terminal of a container that has one.
type ResizeRequest struct {
	ID     string `json:"id"`
	Width  uint16 `json:"width"`
	Height uint16 `json:"height"`
}

// UpdateRequest changes the limits of a running container.
type UpdateRequest struct {
	ID string `json:"id"`
	// Resources is the whole of an OCI configuration's linux.resources, as it is to be from now on.
	Resources json.RawMessage `json:"resources"`
}

// Status is where a container is in its life; it only moves forward.
//
//	created → running → exited
//	   └───────────────────┘ could not be started
type Status string

// The states.
const (
	Created Status = "created"
	Running Status = "running"
	Exited  Status = "exited"
)

// Before says whether s comes earlier in a container's life than t.
func (s Status) Before(t Status) bool { return s.rank() < t.rank() }

func (s Status) rank() int {
	switch s {
	case Running:
		return 1
	case Exited:
		return 2
	}
	return 0
}

// Reasons and codes of containers that did not end by themselves, as other runtimes report them.
const (
	ReasonCompleted  = "Completed"
	ReasonError      = "Error"
	ReasonOOMKilled  = "OOMKilled"
	ReasonStartError = "StartError"
	ReasonUnknown    = "Unknown"
	CodeStartError   = 128
	CodeUnknown      = 255
)

// ContainerState is what is known about a container; StateName holds it as JSON.
type ContainerState struct {
	ID     string `json:"id"`
	Status Status `json:"status"`
	// PID is that of the first process in floe's PID namespace; 0 before it runs. It stays when the process ended.
	PID int `json:"pid,omitempty"`
	// StartedAt and FinishedAt are nanoseconds since 1970; 0: not yet.
	StartedAt  int64 `json:"startedAt,omitempty"`
	FinishedAt int64 `json:"finishedAt,omitempty"`
	// ExitCode is 128 + Signal when a signal ended it.
	ExitCode int `json:"exitCode"`
	Signal   int `json:"signal,omitempty"`
	// Reason is one of the Reason constants once exited; Message says more when there is more to say.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// Code is a class of error that the other side branches on.
type Code string

// The classes. CodeInternal is whatever has no other.
const (
	CodeInternal   Code = "internal"
	CodeInvalid    Code = "invalid"
	CodeNotFound   Code = "notFound"
	CodeNotRunning Code = "notRunning"
	CodeBusy       Code = "busy"
	CodeVersion    Code = "version"
)

// Error is an error that crossed the socket.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// CodeOf gives the class of an error that came from the other side; CodeInternal when it has none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
