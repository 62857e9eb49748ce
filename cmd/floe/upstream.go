package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// upstreamTable names the flags of kube-apiserver that are not offered; its first lines say how.
//
//go:embed upstream.tsv
var upstreamTable string

// etcdTable names the flags of etcd that its stand-in has no use for, in the same form.
//
//go:embed etcd.tsv
var etcdTable string

// fixed is a flag of an upstream program that has no choice here: it takes the values that say what floe does anyhow, and refuses others with the reason.
// Whoever brings that program's command line is told what is different, and nothing is taken and then passed over.
type fixed struct {
	program     string // upstream's, whose flag it is
	name, state string
	values      []string // none: no value is right
	why         string
	given       string
}

var _ pflag.Value = (*fixed)(nil)

// upstreamFlags are the lines of upstreamTable.
func upstreamFlags() []*fixed { return fixedFlags("kube-apiserver", upstreamTable) }

// fixedFlags are the lines of a program's table.
func fixedFlags(program, table string) (list []*fixed) {
	for line := range strings.Lines(table) {
		if part := strings.Split(strings.TrimSpace(line), "\t"); len(part) == 4 {
			list = append(list, &fixed{program: program, name: part[0], state: part[1], values: strings.Fields(part[2]), why: part[3]})
		}
	}
	return list
}

// refuseFlags adds the flags that are fixed or refused, hidden from help. One that is there already is a program's that has it.
func refuseFlags(flags *pflag.FlagSet, list []*fixed) {
	for _, f := range list {
		if f.state == "later" || flags.Lookup(f.name) != nil {
			continue
		}
		flag := flags.VarPF(f, f.name, "", f.why)
		flag.Hidden = true
		if slices.Contains(f.values, "true") || slices.Contains(f.values, "false") {
			flag.NoOptDefVal = "true" // it is given without a value, too
		}
	}
}

// String implements pflag.Value.
func (f *fixed) String() string { return f.given }

// Type implements pflag.Value.
func (f *fixed) Type() string { return strings.Join(f.values, "|") }

// Set implements pflag.Value.
func (f *fixed) Set(value string) error {
	switch {
	case f.state == "idle":
	case len(f.values) == 0:
		return fmt.Errorf("floe does not have this flag of %s: %s", f.program, f.why)
	case !slices.Contains(f.values, value):
		return fmt.Errorf("must be %s: %s", strings.Join(f.values, " or "), f.why)
	}
	f.given = value
	return nil
}
