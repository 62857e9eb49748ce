package auth

// Resolver lists the rules that allow a user something in a namespace: those without one included, since they hold everywhere. incomplete says that there may
// be more, and err why. The rules are shared.
type Resolver func(user User, namespace string) (rules []Rule, incomplete bool, err error)

// GrantedRules lists what Grants allows.
func GrantedRules(grants []Grant) Resolver {
	return func(user User, _ string) (rules []Rule, incomplete bool, err error) {
		for _, g := range grants {
			if g.to(user) {
				rules = append(rules, g.Rules...)
			}
		}
		return rules, false, nil
	}
}

// PolicyRules lists what Policy allows.
func PolicyRules() Resolver { return GrantedRules(policy()) }
