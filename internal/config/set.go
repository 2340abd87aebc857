package config

import (
	"fmt"
	"reflect"
	"strings"

	"drumlin/internal/kafkaprops"
	"drumlin/internal/nearest"
	"drumlin/internal/secure"
	"drumlin/internal/strictyaml"
)

const propertiesPath = "kafka.properties"

// Set puts one value into the field of this path, as `--set query.threads=2` asks for. Lists are written with commas; a
// property is kafka.properties.NAME. Secrets are refused: other users of the machine can read a command line.
func (s *Server) Set(path, value string) error {
	if name, ok := strings.CutPrefix(path, propertiesPath+"."); ok && name != "" {
		if kafkaprops.MayBeSecret(name) {
			return Problems{{Path: path, Message: onlyFromFile}}
		}
		properties := make(map[string]secure.Secret, len(s.Kafka.Properties)+1)
		for k, v := range s.Kafka.Properties {
			properties[k] = v
		}
		properties[name] = secure.Secret(value)
		s.Kafka.Properties = properties
		return nil
	}
	section, rest := reflect.ValueOf(s).Elem(), path
	for {
		name, further, nested := strings.Cut(rest, ".")
		found, ok := find(section, name)
		switch {
		case !ok:
			return Problems{{Path: strictyaml.Shown(path), Message: "there is no such field" + suggest("", path, leafPaths())}}
		case found.section.IsValid() && nested:
			section, rest = found.section, further
		case found.section.IsValid():
			return Problems{{Path: path, Message: "it holds fields: set one of them, such as " + path + "." + slots(found.section)[0].name}}
		case nested:
			return Problems{{Path: strictyaml.Shown(path), Message: "there is no such field" + suggest("", path, leafPaths())}}
		default:
			return setField(found.field, path, value)
		}
	}
}

const onlyFromFile = "a secret is not taken from the command line, which others can read: write ${NAME} into the file"

func setField(field any, path, value string) error {
	switch field.(type) {
	case *secure.Secret, *[]Token:
		return Problems{{Path: path, Message: onlyFromFile}}
	}
	if err := assign(field, value); err != nil {
		return Problems{{Path: path, Message: err.Error()}}
	}
	return nil
}

// SetAll puts overrides of the form PATH=VALUE, in their order, and reports every problem at once.
func (s *Server) SetAll(overrides []string) error {
	var problems Problems
	for _, override := range overrides {
		path, value, ok := strings.Cut(override, "=")
		if !ok {
			problems = append(problems, Problem{Message: fmt.Sprintf("--set %s: write PATH=VALUE, such as query.threads=2", strictyaml.Shown(override))})
			continue
		}
		if err := s.Set(strings.TrimSpace(path), value); err != nil {
			problems = append(problems, problemsOf(err)...)
		}
	}
	return problems.asError()
}

func find(section reflect.Value, name string) (slot, bool) {
	for _, s := range slots(section) {
		if s.name == name {
			return s, true
		}
	}
	return slot{}, false
}

// suggest names the nearest field beside, or else the place where a field of this name is.
func suggest(path, key string, beside []string) string {
	if near := nearest.Question(nearest.Name(key, beside)); near != "" {
		return near
	}
	for _, leaf := range leafPaths() {
		if strings.HasSuffix(strings.ToLower(leaf), "."+strings.ToLower(key)) {
			return nearest.Question(leaf)
		}
	}
	if path == "" {
		return "; `drumlin config` prints all that there are"
	}
	return "; " + path + " has: " + strings.Join(beside, ", ")
}

// leafPaths are the paths of fields that are not sections and not in lists.
func leafPaths() []string {
	server := Default()
	var out []string
	var walk func(section reflect.Value, path string)
	walk = func(section reflect.Value, path string) {
		for _, s := range slots(section) {
			if s.section.IsValid() {
				walk(s.section, strictyaml.Join(path, s.name))
				continue
			}
			out = append(out, strictyaml.Join(path, s.name))
		}
	}
	walk(reflect.ValueOf(&server).Elem(), "")
	return out
}
