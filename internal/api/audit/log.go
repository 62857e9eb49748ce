package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// logSink writes each event as a line.
type logSink struct {
	trail  *Trail
	legacy bool

	mu  sync.Mutex
	out io.Writer // guarded by mu
}

// openLog opens where the log goes; closing it is the caller's part.
func openLog(cfg *LogConfig) (io.WriteCloser, error) {
	if cfg.Path == "-" {
		return shared{os.Stdout}, nil
	}
	if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o700); err != nil {
		return nil, fmt.Errorf("audit.log.path: %w", err)
	}
	file, err := os.OpenFile(cfg.Path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600) // at once, since lumberjack would find out at the first event
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("audit.log.path: ensureLogFile: %w", err)
	}
	return &lumberjack.Logger{Filename: cfg.Path, MaxAge: cfg.MaxAge, MaxBackups: cfg.MaxBackup, MaxSize: cfg.MaxSize, Compress: cfg.Compress}, nil
}

// shared is a writer of others, which stays open.
type shared struct{ io.Writer }

// Close implements io.Closer.
func (shared) Close() error { return nil }

// take implements sink.
func (l *logSink) take(events ...*auditv1.Event) bool {
	ok := true
	for _, e := range events {
		if err := l.write(e); err != nil {
			l.trail.lost("log", err, e)
			ok = false
		}
	}
	return ok
}

func (l *logSink) write(e *auditv1.Event) error {
	var line []byte
	if l.legacy {
		line = []byte(legacy(e))
	} else {
		var err error
		if line, err = json.Marshal(e); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.out.Write(append(line, '\n'))
	return err
}

// legacy is an event in one line of text.
func legacy(e *auditv1.Event) string {
	or := func(text, none string) string {
		if text == "" {
			return none
		}
		return text
	}
	groups, as, asGroups, namespace, response, ip := "<none>", "<self>", "<lookup>", "", "<deferred>", "<unknown>"
	if e.User.Username != "" && len(e.User.Groups) > 0 {
		groups = quoted(e.User.Groups)
	}
	if u := e.ImpersonatedUser; u != nil {
		as = u.Username
		if u.Groups != nil {
			asGroups = quoted(u.Groups)
		}
	}
	if e.ObjectRef != nil {
		namespace = e.ObjectRef.Namespace
	}
	if e.ResponseStatus != nil {
		response = strconv.Itoa(int(e.ResponseStatus.Code))
	}
	if len(e.SourceIPs) > 0 {
		ip = e.SourceIPs[0]
	}
	return fmt.Sprintf(`%s AUDIT: id=%q stage=%q ip=%q method=%q user=%q groups=%q as=%q asgroups=%q user-agent=%q namespace=%q uri=%q response="%s"`,
		e.RequestReceivedTimestamp.Format(time.RFC3339Nano), e.AuditID, e.Stage, ip, e.Verb, or(e.User.Username, "<none>"), groups, as, asGroups,
		e.UserAgent, or(namespace, "<none>"), e.RequestURI, response)
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strconv.Quote(s)
	}
	return strings.Join(out, ",")
}
