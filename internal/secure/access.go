package secure

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
)

// ErrUnauthenticated says that no known token was presented.
var ErrUnauthenticated = errors.New("no valid token was presented")

// ErrForbidden says that the token's role does not allow what was asked.
var ErrForbidden = errors.New("the token's role does not allow this")

// Denied is the ErrForbidden of one request.
type Denied struct {
	Name      string // the token's
	Has, Need Role
}

func (d *Denied) Error() string {
	return fmt.Sprintf("this needs the role %s, and the token %q has the role %s", d.Need, d.Name, d.Has)
}

// Is makes a Denied an ErrForbidden.
func (d *Denied) Is(target error) bool { return target == ErrForbidden }

// Token is what a caller shows, and what it allows.
type Token struct {
	Name   string // for logs; not secret
	Role   Role
	Secret Secret
}

// minTokenBytes is the shortest secret that is accepted: shorter ones can be guessed.
const minTokenBytes = 16

// Identity is who presented a token. The zero value is anyone, where access is open.
type Identity struct {
	Name string
	Role Role
}

type entry struct {
	identity Identity
	hash     [sha256.Size]byte
}

// Access knows the tokens. A nil *Access lets everything pass. It is safe for concurrent use.
type Access struct {
	entries []entry
}

// NewAccess checks the tokens and keeps their hashes. Without tokens it returns nil: access is open.
func NewAccess(tokens []Token) (*Access, error) {
	if len(tokens) == 0 {
		return nil, nil
	}
	a := &Access{entries: make([]entry, len(tokens))}
	var problems []error
	names := make(map[string]bool, len(tokens))
	hashes := make(map[[sha256.Size]byte]string, len(tokens))
	for i, t := range tokens {
		if err := t.check(); err != nil {
			problems = append(problems, fmt.Errorf("token %d (%q): %w", i+1, t.Name, err))
			continue
		}
		hash := sha256.Sum256([]byte(t.Secret.Reveal()))
		if names[t.Name] {
			problems = append(problems, fmt.Errorf("token %d (%q): its name is taken by another token", i+1, t.Name))
		}
		if other, ok := hashes[hash]; ok {
			problems = append(problems, fmt.Errorf("token %d (%q): it has the same secret as %q; every token needs its own", i+1, t.Name, other))
		}
		names[t.Name], hashes[hash] = true, t.Name
		a.entries[i] = entry{identity: Identity{Name: t.Name, Role: t.Role}, hash: hash}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return a, nil
}

func (t Token) check() error {
	switch {
	case t.Name == "":
		return errors.New("it needs a name, by which logs tell who asked")
	case t.Role < RoleRead || t.Role > RoleAdmin:
		return errors.New("it needs a role: read, write or admin")
	case t.Secret == "":
		return errors.New("its secret is empty; make one with: openssl rand -hex 32")
	case len(t.Secret) < minTokenBytes:
		return fmt.Errorf("its secret has fewer than %d characters; make one with: openssl rand -hex 32", minTokenBytes)
	}
	if err := t.Secret.sendable(); err != nil {
		return fmt.Errorf("its secret cannot be used: %w", err)
	}
	return nil
}

// Identify says whose token was presented, or ErrUnauthenticated. A nil Access knows nobody and refuses nobody.
func (a *Access) Identify(presented string) (Identity, error) {
	if a == nil {
		return Identity{Role: RoleAdmin}, nil
	}
	hash := sha256.Sum256([]byte(presented))
	found := -1
	for i := range a.entries {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], a.entries[i].hash[:]), i, found)
	}
	if found < 0 {
		return Identity{}, ErrUnauthenticated
	}
	return a.entries[found].identity, nil
}

// Authorize returns the name of the token that was presented if its role reaches what is needed; else
// ErrUnauthenticated, or ErrForbidden as a *Denied.
func (a *Access) Authorize(presented string, need Role) (string, error) {
	who, err := a.Identify(presented)
	if err != nil {
		return "", err
	}
	if who.Role < need {
		return who.Name, &Denied{Name: who.Name, Has: who.Role, Need: need}
	}
	return who.Name, nil
}
