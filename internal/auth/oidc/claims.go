package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"github.com/floe-k8s/floe/internal/auth"
)

// claims are what a token says.
type claims map[string]json.RawMessage

// read decodes a claim.
func (c claims) read(name string, into any) error {
	value, ok := c[name]
	if !ok {
		return errors.New("claim not present")
	}
	return json.Unmarshal(value, into)
}

// oneOrMore are strings, or one string.
type oneOrMore []string

// UnmarshalJSON reads both forms.
func (o *oneOrMore) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, (*[]string)(o)) == nil {
		return nil
	}
	*o = make([]string, 1)
	return json.Unmarshal(data, &(*o)[0])
}

// user makes a user of claims, and holds them against the rules.
func (i *issuer) user(ctx context.Context, said claims) (u auth.User, err error) {
	values := claimValues(said)
	if u.Name, err = i.name(ctx, said, values); err != nil {
		return auth.User{}, err
	}
	if u.Groups, err = i.groups(ctx, said, values); err != nil {
		return auth.User{}, err
	}
	if u.UID, err = i.uid(ctx, said, values); err != nil {
		return auth.User{}, err
	}
	if u.Extra, err = i.extra(ctx, said, values); err != nil {
		return auth.User{}, err
	}
	if err := i.require(said); err != nil {
		return auth.User{}, err
	}
	if rules := i.mapper.ClaimValidationRules; rules != nil {
		results, err := rules.EvalClaimMappings(ctx, values)
		if err == nil {
			err = allTrue(results)
		}
		if err != nil {
			return auth.User{}, fmt.Errorf("oidc: error evaluating claim validation expression: %w", err)
		}
	}
	if rules := i.mapper.UserValidationRules; rules != nil {
		results, err := rules.EvalUser(ctx, userValues(&u))
		if err == nil {
			err = allTrue(results)
		}
		if err != nil {
			return auth.User{}, fmt.Errorf("oidc: error evaluating user info validation rule: %w", err)
		}
	}
	return u, nil
}

// require holds the claims against those that must have a value.
func (i *issuer) require(said claims) error {
	for _, rule := range i.spec.ClaimValidationRules {
		if rule.Claim == "" {
			continue
		}
		if _, ok := said[rule.Claim]; !ok {
			return fmt.Errorf("oidc: required claim %s not present in ID token", rule.Claim)
		}
		var value string
		if err := said.read(rule.Claim, &value); err != nil {
			return fmt.Errorf("oidc: parse claim %s: %w", rule.Claim, err)
		}
		if value != rule.RequiredValue {
			return fmt.Errorf("oidc: required claim %s value does not match. Got = %s, want = %s", rule.Claim, value, rule.RequiredValue)
		}
	}
	return nil
}

// text is what an expression says that must be a string.
func text(ctx context.Context, of authenticationcel.ClaimsMapper, values traits.Mapper, what string) (string, error) {
	result, err := of.EvalClaimMapping(ctx, values)
	if err != nil {
		return "", fmt.Errorf("oidc: error evaluating %s claim expression: %w", what, err)
	}
	said, ok := result.EvalResult.Value().(string)
	if !ok || result.EvalResult.Type() != celgo.StringType {
		return "", fmt.Errorf("oidc: error evaluating %s claim expression: %s claim expression must return a string", what, what)
	}
	return said, nil
}

func (i *issuer) name(ctx context.Context, said claims, values traits.Mapper) (name string, err error) {
	if i.mapper.Username != nil {
		name, err := text(ctx, i.mapper.Username, values, "username")
		if err == nil && name == "" {
			err = errors.New("oidc: empty username via CEL expression is not allowed")
		}
		return name, err
	}
	from := &i.spec.ClaimMappings.Username
	if err := said.read(from.Claim, &name); err != nil {
		return "", fmt.Errorf("oidc: parse username claims %q: %w", from.Claim, err)
	}
	if _, tells := said["email_verified"]; tells && from.Claim == "email" {
		var verified bool
		if err := said.read("email_verified", &verified); err != nil {
			return "", fmt.Errorf("oidc: parse 'email_verified' claim: %w", err)
		}
		if !verified {
			return "", errors.New("oidc: email not verified")
		}
	}
	if from.Prefix != nil {
		name = *from.Prefix + name
	}
	return name, nil
}

func (i *issuer) groups(ctx context.Context, said claims, values traits.Mapper) ([]string, error) {
	from := &i.spec.ClaimMappings.Groups
	if _, ok := said[from.Claim]; ok && from.Claim != "" {
		var groups oneOrMore
		if err := said.read(from.Claim, &groups); err != nil {
			return nil, fmt.Errorf("oidc: parse groups claim %q: %w", from.Claim, err)
		}
		for n := range groups {
			if from.Prefix != nil {
				groups[n] = *from.Prefix + groups[n]
			}
		}
		return groups, nil
	}
	if i.mapper.Groups == nil {
		return nil, nil
	}
	result, err := i.mapper.Groups.EvalClaimMapping(ctx, values)
	if err != nil {
		return nil, fmt.Errorf("oidc: error evaluating group claim expression: %w", err)
	}
	groups, err := list(result.EvalResult)
	if err != nil {
		return nil, fmt.Errorf("oidc: error evaluating group claim expression: %w", err)
	}
	return groups, nil
}

func (i *issuer) uid(ctx context.Context, said claims, values traits.Mapper) (uid string, err error) {
	if claim := i.spec.ClaimMappings.UID.Claim; claim != "" {
		if err := said.read(claim, &uid); err != nil {
			return "", fmt.Errorf("oidc: parse uid claim %q: %w", claim, err)
		}
		return uid, nil
	}
	if i.mapper.UID == nil {
		return "", nil
	}
	return text(ctx, i.mapper.UID, values, "uid")
}

func (i *issuer) extra(ctx context.Context, said claims, values traits.Mapper) (map[string][]string, error) {
	extra := map[string][]string{}
	var id string
	if said.read("jti", &id) == nil && id != "" {
		extra[auth.CredentialID] = []string{"JTI=" + id}
	}
	if i.mapper.Extra != nil {
		results, err := i.mapper.Extra.EvalClaimMappings(ctx, values)
		if err != nil {
			return nil, err
		}
		for _, result := range results {
			mapping, ok := result.ExpressionAccessor.(*authenticationcel.ExtraMappingExpression)
			if !ok {
				panic(fmt.Sprintf("a mapping of an extra field is a %T", result.ExpressionAccessor))
			}
			said, err := list(result.EvalResult)
			if err != nil {
				return nil, fmt.Errorf("oidc: error evaluating extra claim expression: %s: %w", mapping.Expression, err)
			}
			if len(said) > 0 {
				extra[mapping.Key] = said
			}
		}
	}
	if len(extra) == 0 {
		return nil, nil
	}
	return extra, nil
}

var errNoList = errors.New("expression must return a string or a list of strings")

// list is the strings that an expression says, one or more; those that are empty do not count.
func list(val ref.Val) (out []string, err error) {
	add := func(one any) {
		switch s, ok := one.(string); {
		case !ok:
			err = errNoList
		case s != "":
			out = append(out, s)
		}
	}
	switch val.Type().TypeName() {
	case celgo.NullType.TypeName():
	case celgo.StringType.TypeName():
		add(val.Value())
	case celgo.ListType(nil).TypeName():
		switch all := val.Value().(type) {
		case []any:
			for _, one := range all {
				add(one)
			}
		case []ref.Val:
			for _, one := range all {
				add(one.Value())
			}
		case []string:
			for _, one := range all {
				add(one)
			}
		default:
			err = errNoList
		}
	default:
		err = errNoList
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// allTrue says which rule does not hold.
func allTrue(results []authenticationcel.EvaluationResult) error {
	for _, result := range results {
		holds, ok := result.EvalResult.Value().(bool)
		if !ok || result.EvalResult.Type() != celgo.BoolType {
			return errors.New("validation expression must return a boolean")
		}
		if holds {
			continue
		}
		message := ""
		switch rule := result.ExpressionAccessor.(type) {
		case *authenticationcel.ClaimValidationCondition:
			message = rule.Message
		case *authenticationcel.UserValidationCondition:
			message = rule.Message
		}
		return fmt.Errorf("validation expression '%s' failed: %s", result.ExpressionAccessor.GetExpression(), message)
	}
	return nil
}
