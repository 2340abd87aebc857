package secure

import "fmt"

// Role is what a token allows. A role allows what the lower ones do. The zero value is no role and allows nothing.
type Role uint8

// The roles, from the lowest up.
const (
	RoleRead  Role = iota + 1 // look and query
	RoleWrite                 // change what is ingested and compacted
	RoleAdmin                 // stop, delete, accept losses
)

var roleNames = [...]string{RoleRead: "read", RoleWrite: "write", RoleAdmin: "admin"}

// ParseRole reads a role's name.
func ParseRole(name string) (Role, error) {
	for role, known := range roleNames {
		if role > 0 && name == known {
			return Role(role), nil
		}
	}
	return 0, fmt.Errorf("there is no role %q; the roles are read, write and admin", name)
}

// String returns the role's name.
func (r Role) String() string {
	if r >= RoleRead && r <= RoleAdmin {
		return roleNames[r]
	}
	return "none"
}

// MarshalText writes the role's name.
func (r Role) MarshalText() ([]byte, error) {
	if r < RoleRead || r > RoleAdmin {
		return nil, fmt.Errorf("role %d has no name", uint8(r))
	}
	return []byte(roleNames[r]), nil
}

// UnmarshalText reads the role's name.
func (r *Role) UnmarshalText(text []byte) error {
	role, err := ParseRole(string(text))
	if err != nil {
		return err
	}
	*r = role
	return nil
}
