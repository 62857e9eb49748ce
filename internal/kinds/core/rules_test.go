package core_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
)

// rule is an object, and what is wrong with it: the errors' texts, each on a line; "" is nothing. With old, it is an update.
type rule struct{ name, obj, old, want string }

// parse reads JSON in which ' stands for ".
func parse(t *testing.T, k *kinds.Kind, text string) kinds.Object {
	t.Helper()
	obj := k.New()
	if err := json.Unmarshal([]byte(strings.ReplaceAll(text, "'", `"`)), obj); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if k.Default != nil {
		k.Default(obj)
	}
	return obj
}

// check runs what a create or an update runs.
func check(t *testing.T, k *kinds.Kind, list []rule) {
	t.Helper()
	for _, r := range list {
		t.Run(k.GVK.Kind+" "+r.name, func(t *testing.T) {
			obj := parse(t, k, r.obj)
			var errs field.ErrorList
			if r.old == "" {
				if k.PrepareCreate != nil {
					k.PrepareCreate(env(), obj)
				}
				errs = k.Validate(obj)
			} else {
				errs = update(t, k, obj, r.old)
			}
			if got := texts(errs); got != r.want {
				t.Errorf("got\n%s\nwant\n%s", got, r.want)
			}
		})
	}
}

func update(t *testing.T, k *kinds.Kind, obj kinds.Object, oldText string) (errs field.ErrorList) {
	t.Helper()
	old := parse(t, k, oldText)
	old.SetResourceVersion("7")
	obj.SetResourceVersion("7")
	if k.PrepareUpdate != nil {
		k.PrepareUpdate(env(), obj, old)
	}
	errs = k.Validate(obj)
	if k.ValidateUpdate != nil {
		errs = append(errs, k.ValidateUpdate(obj, old)...)
	}
	return errs
}

func texts(errs field.ErrorList) string {
	var lines []string
	for _, e := range errs {
		lines = append(lines, e.Error())
	}
	return strings.Join(lines, "\n")
}

func TestSecretRules(t *testing.T) {
	check(t, core.Secret(), []rule{
		{"strings are data", `{'stringData':{'a':'x'}}`, "", ""},
		{"key", `{'data':{'a b':''}}`, "", `data[a b]: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`},
		{"token of no account", `{'type':'kubernetes.io/service-account-token'}`, "", "metadata.annotations[kubernetes.io/service-account.name]: Required value"},
		{"registry", `{'type':'kubernetes.io/dockerconfigjson','stringData':{'.dockerconfigjson':'x'}}`, "",
			`data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid character 'x' looking for beginning of value`},
		{"no registry", `{'type':'kubernetes.io/dockercfg'}`, "", "data[.dockercfg]: Required value"},
		{"one of user and word is enough", `{'type':'kubernetes.io/basic-auth','data':{'username':''}}`, "", ""},
		{"neither", `{'type':'kubernetes.io/basic-auth'}`, "", "data[username]: Required value\ndata[password]: Required value"},
		{"ssh", `{'type':'kubernetes.io/ssh-auth','data':{'ssh-privatekey':''}}`, "", "data[ssh-privatekey]: Required value"},
		{"tls", `{'type':'kubernetes.io/tls','data':{'tls.crt':''}}`, "", "data[tls.key]: Required value"},
		{"type stays", `{'type':'a'}`, `{'type':'b'}`, `type: Invalid value: "a": field is immutable`},
		{"immutable", `{'data':{'a':''}}`, `{'immutable':true}`, "immutable: Forbidden: field is immutable when `immutable` is set\ndata: Forbidden: field is immutable when `immutable` is set"},
	})
}

func TestLimitRangeRules(t *testing.T) {
	item := func(text string) string { return fmt.Sprintf(`{'metadata':{'uid':'u'},'spec':{'limits':[%s]}}`, text) }
	check(t, core.LimitRange(), []rule{
		{"good", item(`{'type':'Container','max':{'cpu':'2'},'min':{'cpu':'1'}}`), "", ""},
		{"type", item(`{'type':'Thing'}`), "", `spec.limits[0].type: Invalid value: "Thing": must be a standard limit type or fully qualified`},
		{"twice", item(`{'type':'Pod'},{'type':'Pod'}`), "", `spec.limits[1].type: Duplicate value: "Pod"`},
		{"pods have no defaults", item(`{'type':'Pod','default':{'cpu':'1'}}`), "", "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"},
		{"claims want storage", item(`{'type':'PersistentVolumeClaim'}`), "", "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided"},
		{"min over max", item(`{'type':'Pod','max':{'cpu':'1'},'min':{'cpu':'2'}}`), "", `spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1`},
		{"ratio", item(`{'type':'Pod','max':{'cpu':'2'},'min':{'cpu':'1'},'maxLimitRequestRatio':{'cpu':'3'}}`), "", `spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000`},
		{"no container's resource", item(`{'type':'Pod','max':{'pods':'1'}}`), "", `spec.limits[0].max[pods]: Invalid value: "pods": must be a standard resource for containers`},
		{"vendors' are not promised twice", item(`{'type':'Container','default':{'a.b/c':'2'},'defaultRequest':{'a.b/c':'1'}}`), "",
			`spec.limits[0].defaultRequest[a.b/c]: Invalid value: "1": default value 2 must equal to defaultRequest value 1 in a.b/c`},
	})
	obj := parse(t, core.LimitRange(), item(`{'type':'Container','max':{'cpu':'2'},'min':{'memory':'1'}}`))
	core.LimitRange().PrepareCreate(env(), obj)
	got, _ := json.Marshal(obj)
	if !strings.Contains(string(got), `"default":{"cpu":"2"},"defaultRequest":{"cpu":"2","memory":"1"}`) || obj.GetName() != "u" {
		t.Errorf("%s", got)
	}
}

func TestQuotaRules(t *testing.T) {
	check(t, core.ResourceQuota(), []rule{
		{"good", `{'spec':{'hard':{'pods':'3','requests.cpu':'1','a.b/c':'2','count/x.y':'1'},'scopeSelector':null}}`, "", ""},
		{"name", `{'spec':{'hard':{'storage':'1','gold':'1'}}}`, "", "spec.hard[gold]: Invalid value: \"gold\": must be a standard resource type or fully qualified\n" +
			"spec.hard[gold]: Invalid value: \"gold\": must be a standard resource for quota\nspec.hard[storage]: Invalid value: \"storage\": must be a standard resource for quota"},
		{"debt, and half a pod", `{'spec':{'hard':{'cpu':'-1','pods':'500m'}}}`, "", "spec.hard[cpu]: Invalid value: \"-1\": must be greater than or equal to 0\nspec.hard[pods]: Invalid value: \"500m\": must be an integer"},
		{"scope", `{'spec':{'scopes':['Odd']}}`, "", `spec.scopes: Invalid value: ["Odd"]: unsupported scope`},
		{"scope of other things", `{'spec':{'hard':{'cpu':'1'},'scopes':['BestEffort','NotBestEffort']}}`, "",
			"spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: unsupported scope applied to resource\nspec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes"},
		{"selector", `{'spec':{'hard':{'secrets':'1'},'scopeSelector':{'matchExpressions':[{'scopeName':'PriorityClass','operator':'In'}]}}}`, "",
			`spec.scopeSelector.matchExpressions: Invalid value: {"MatchExpressions":[{"ScopeName":"PriorityClass","Operator":"In","Values":null}]}: unsupported scope applied to resource` +
				"\nspec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"},
		{"scopes stay", `{'spec':{'scopes':['BestEffort']}}`, `{}`, `spec.scopes: Invalid value: ["BestEffort"]: field is immutable`},
	})
}

func TestControllerRules(t *testing.T) {
	good := `'template':{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[{'name':'c','image':'i'}]}}`
	check(t, core.ReplicationController(), []rule{
		{"the template's labels select", `{'spec':{` + good + `}}`, "", ""},
		{"another selector", `{'spec':{'selector':{'x':'y'},` + good + `}}`, "", "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`"},
		{"nothing", `{'spec':{'replicas':-1}}`, "", "spec.selector: Required value\nspec.replicas: Invalid value: -1: must be greater than or equal to 0\nspec.template: Required value"},
		{"pods that end", `{'spec':{` + strings.Replace(good, `'spec':{`, `'spec':{'restartPolicy':'Never','activeDeadlineSeconds':1,`, 1) + `}}`, "",
			"spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"\n" +
				"spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicationController is not Supported"},
		{"what no version could hold", `{'spec':{'selector':{'a':'b'},` + good + `}}`, `{'metadata':{'annotations':{'non-convertible.kubernetes.io/x':'1'}},'spec':{` + good + `}}`,
			`x: Not found: "1": unknown non-convertible field`},
	})
	k, obj := core.ReplicationController(), parse(t, core.ReplicationController(), `{'spec':{`+good+`},'status':{'replicas':1,'readyReplicas':2}}`)
	if errs := k.Subresources[1].Update(env(), obj, parse(t, k, `{}`)); texts(errs) != "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas" {
		t.Errorf("%v", errs)
	}
	obj = parse(t, k, `{'spec':{`+good+`}}`)
	k.Subresources[0].Scale.Write(obj, 4)
	if want, have, sel := k.Subresources[0].Scale.Read(obj); want != 4 || have != 0 || sel != "a=b" {
		t.Errorf("%d %d %s", want, have, sel)
	}
	check(t, core.PodTemplate(), []rule{{"good", `{` + good + `}`, "", ""}, {"empty", `{}`, "", "template.spec.containers: Required value"}})
}

func TestEndpointsRules(t *testing.T) {
	check(t, core.Endpoints(), []rule{
		{"good", `{'subsets':[{'addresses':[{'ip':'10.0.0.1'}],'ports':[{'port':80}]}]}`, "", ""},
		{"empty", `{'subsets':[{}]}`, "", "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"},
		{"loopback", `{'subsets':[{'addresses':[{'ip':'127.0.0.1'}]}]}`, "", `subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`},
		{"as it was", `{'subsets':[{'addresses':[{'ip':'127.0.0.1'}]}]}`, `{'subsets':[{'addresses':[{'ip':'127.0.0.1'}]}]}`, ""},
		{"two ports, one name", `{'subsets':[{'addresses':[{'ip':'10.0.0.1'}],'ports':[{'port':80,'name':'a'},{'port':0,'protocol':'X'}]}]}`, "",
			"subsets[0].ports[1].name: Required value\nsubsets[0].ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive\n" +
				"subsets[0].ports[1].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\""},
	})
}

func TestAccountsNameSecrets(t *testing.T) {
	k := core.ServiceAccount()
	obj := parse(t, k, `{'secrets':[{'name':'s','kind':'Secret','uid':'1'}]}`)
	k.PrepareCreate(env(), obj)
	if want := parse(t, k, `{'secrets':[{'name':'s'}]}`); !reflect.DeepEqual(obj, want) {
		t.Errorf("%+v", obj)
	}
}

// TestTables shows one object of each kind.
func TestTables(t *testing.T) {
	for _, c := range []struct {
		kind      *kinds.Kind
		obj, want string
	}{
		{core.Secret(), `{'metadata':{'name':'s'},'data':{'a':''}}`, "s Opaque 1 <unknown>"},
		{core.ServiceAccount(), `{'metadata':{'name':'s'}}`, "s <unknown>"},
		{core.LimitRange(), `{'metadata':{'name':'l','creationTimestamp':'2026-01-02T03:04:05Z'}}`, "l 2026-01-02T03:04:05Z"},
		{core.ResourceQuota(), `{'metadata':{'name':'q'},'status':{'hard':{'pods':'3','cpu':'1','limits.cpu':'2'},'used':{'pods':'1'}}}`, "q cpu: 0/1, pods: 1/3 limits.cpu: 0/2 <unknown>"},
		{core.PodTemplate(), `{'metadata':{'name':'t'},'template':{'spec':{'containers':[{'name':'a','image':'x'},{'name':'b','image':'y'}]}}}`, "t a,b x,y <none>"},
		{core.ReplicationController(), `{'metadata':{'name':'r'},'spec':{'selector':{'a':'b'}},'status':{'replicas':2,'readyReplicas':1}}`, "r 1 2 1 <unknown>   a=b"},
		{core.Endpoints(), `{'metadata':{'name':'e'},'subsets':[{'addresses':[{'ip':'1.1.1.1'},{'ip':'::1'}],'ports':[{'port':1},{'port':2}]}]}`, "e 1.1.1.1:1,[::1]:1,1.1.1.1:2 + 1 more... <unknown>"},
		{core.Endpoints(), `{'metadata':{'name':'e'}}`, "e <none> <unknown>"},
		{core.PersistentVolume(), `{'metadata':{'name':'v'},'spec':{'capacity':{'storage':'1Gi'},'accessModes':['ReadWriteMany','ReadWriteOnce'],'claimRef':{'namespace':'n','name':'c'},'storageClassName':'fast'}}`,
			"v 1Gi RWO,RWX Retain Pending n/c fast <unset>  <unknown> Filesystem"},
		{core.PersistentVolumeClaim(), `{'metadata':{'name':'c'},'spec':{'volumeName':'v'},'status':{'phase':'Bound','capacity':{'storage':'1Gi'},'accessModes':['ReadWriteOncePod']}}`,
			"c Bound v 1Gi RWOP  <unset> <unknown> Filesystem"},
		{core.Service(core.ServiceNetwork{}), `{'metadata':{'name':'s'},'spec':{'clusterIPs':['10.0.0.1'],'ports':[{'port':80},{'port':53,'protocol':'UDP','nodePort':30053}],'selector':{'a':'b'}}}`,
			"s ClusterIP 10.0.0.1 <none> 80/TCP,53:30053/UDP <unknown> a=b"},
		{core.Service(core.ServiceNetwork{}), `{'metadata':{'name':'s'},'spec':{'type':'LoadBalancer'}}`, "s LoadBalancer <none> <pending> <none> <unknown> <none>"},
		{core.Service(core.ServiceNetwork{}), `{'metadata':{'name':'s'},'spec':{'type':'ExternalName','externalName':'x.y'}}`, "s ExternalName <none> x.y <none> <unknown> <none>"},
		{core.Service(core.ServiceNetwork{}), `{'metadata':{'name':'s'},'spec':{'type':'LoadBalancer'},'status':{'loadBalancer':{'ingress':[{'hostname':'a.very.long.name'},{'ip':'1.2.3.4'}]}}}`, "s LoadBalancer <none> 1.2.3.4,a.very.long.name <none> <unknown> <none>"},
	} {
		obj, cells := parse(t, c.kind, c.obj), []string{}
		for _, col := range c.kind.Table() {
			cells = append(cells, fmt.Sprint(col.Cell(env(), obj)))
		}
		if got := strings.Join(cells, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.kind.GVK.Kind, got, c.want)
		}
	}
}
