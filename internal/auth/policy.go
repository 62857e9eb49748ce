package auth

// controllerPrefix begins the names of the controllers' service accounts.
const controllerPrefix = "system:serviceaccount:kube-system:"

var (
	read  = []string{"get", "list", "watch"}
	write = []string{"create", "patch", "update"}
)

// Policy returns the rules of upstream's bootstrap policy for the identities that exist in a cluster so far.
func Policy() Authorizer { return Grants(policy()) }

func policy() []Grant { return append(people(), components()...) }

// people are the grants to users' groups: cluster-admin, system:discovery, system:basic-user, system:public-info-viewer.
func people() []Grant {
	all := []string{"*"}
	return []Grant{
		{Groups: []string{Masters}, Rules: []Rule{{Verbs: all, Groups: all, Resources: all}, {Verbs: all, Paths: all}}},
		{Groups: []string{Authenticated}, Rules: []Rule{{Verbs: []string{"get"}, Paths: []string{
			"/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/",
		}}}},
		{Groups: []string{Authenticated}, Rules: []Rule{
			{Verbs: []string{"create"}, Groups: []string{"authorization.k8s.io"}, Resources: []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews"}},
			{Verbs: []string{"create"}, Groups: []string{"authentication.k8s.io"}, Resources: []string{"selfsubjectreviews"}},
		}},
		{Groups: []string{Authenticated, Unauthenticated}, Rules: []Rule{{Verbs: []string{"get"}, Paths: []string{
			"/healthz", "/livez", "/readyz", "/version", "/version/",
		}}}},
	}
}

// components are the grants to floe's own parts, under the names of upstream's. Nodes get the role system:node whole: the
// narrowing to what a node's own pods use comes with identities that a machine outside holds.
func components() []Grant {
	core, apps, all := []string{""}, []string{"apps"}, []string{"*"}
	events := Rule{Verbs: write, Groups: []string{"", "events.k8s.io"}, Resources: []string{"events"}}
	sets := []string{"replicasets"}
	deployments := []string{"deployments"}
	return []Grant{
		{Users: []string{"system:kube-scheduler"}, Rules: []Rule{
			events,
			{Verbs: read, Groups: core, Resources: []string{"nodes", "namespaces"}},
			{Verbs: append([]string{"delete"}, read...), Groups: core, Resources: []string{"pods"}},
			{Verbs: []string{"create"}, Groups: core, Resources: []string{"bindings", "pods/binding"}},
			{Verbs: []string{"patch", "update"}, Groups: core, Resources: []string{"pods/status"}},
			{Verbs: read, Groups: apps, Resources: sets},
		}},
		{Users: []string{controllerPrefix + "deployment-controller"}, Rules: []Rule{
			events,
			{Verbs: append([]string{"update"}, read...), Groups: apps, Resources: deployments},
			{Verbs: []string{"update"}, Groups: apps, Resources: []string{"deployments/status", "deployments/finalizers"}},
			{Verbs: append([]string{"create", "delete", "patch", "update"}, read...), Groups: apps, Resources: sets},
			{Verbs: append([]string{"update"}, read...), Groups: core, Resources: []string{"pods"}},
		}},
		{Users: []string{controllerPrefix + "replicaset-controller"}, Rules: []Rule{
			events,
			{Verbs: append([]string{"update"}, read...), Groups: apps, Resources: sets},
			{Verbs: []string{"update"}, Groups: apps, Resources: []string{"replicasets/status", "replicasets/finalizers"}},
			{Verbs: []string{"create", "delete", "list", "patch", "watch"}, Groups: core, Resources: []string{"pods"}},
		}},
		{Users: []string{controllerPrefix + "generic-garbage-collector"}, Rules: []Rule{
			events,
			{Verbs: append([]string{"delete", "patch", "update"}, read...), Groups: all, Resources: all},
		}},
		{Users: []string{controllerPrefix + "namespace-controller"}, Rules: []Rule{
			{Verbs: append([]string{"delete", "deletecollection"}, read...), Groups: all, Resources: all},
			{Verbs: []string{"update"}, Groups: core, Resources: []string{"namespaces/finalize", "namespaces/status"}},
		}},
		{Users: []string{controllerPrefix + "service-cidrs-controller"}, Rules: []Rule{
			events,
			{Verbs: append([]string{"patch", "update"}, read...), Groups: []string{"networking.k8s.io"}, Resources: []string{"servicecidrs"}},
			{Verbs: []string{"patch", "update"}, Groups: []string{"networking.k8s.io"}, Resources: []string{"servicecidrs/finalizers", "servicecidrs/status"}},
			{Verbs: read, Groups: []string{"networking.k8s.io"}, Resources: []string{"ipaddresses"}},
		}},
		{Groups: []string{Nodes}, Rules: []Rule{
			events,
			{Verbs: append([]string{"create", "patch", "update"}, read...), Groups: core, Resources: []string{"nodes"}},
			{Verbs: []string{"patch", "update"}, Groups: core, Resources: []string{"nodes/status", "pods/status"}},
			{Verbs: append([]string{"create", "delete"}, read...), Groups: core, Resources: []string{"pods"}},
			{Verbs: read, Groups: core, Resources: []string{"services", "configmaps", "secrets"}},
			{Verbs: []string{"create", "delete", "get", "patch", "update"}, Groups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}},
		}},
	}
}
