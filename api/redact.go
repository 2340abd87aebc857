package api

import (
	"bytes"
	"encoding/json"
	"strings"
)

const redacted = "********"

// openProperties are the consumer properties whose values are shown. Every other value could be a secret.
var openProperties = map[string]bool{
	"bootstrap.servers": true, "client.id": true, "client.rack": true, "group.id": true, "isolation.level": true,
	"security.protocol": true, "sasl.mechanism": true, "auto.offset.reset": true,
	"ssl.endpoint.identification.algorithm": true, "ssl.protocol": true, "ssl.enabled.protocols": true,
}

// openSuffixes end the names of properties that are numbers.
var openSuffixes = []string{".ms", ".bytes", ".records"}

// redactSpec hides the values of consumerProperties that may be secrets, at any depth, and changes nothing else.
func redactSpec(spec json.RawMessage) (json.RawMessage, error) {
	if len(spec) == 0 {
		return json.RawMessage("null"), nil
	}
	if !bytes.Contains(spec, []byte("onsumerProperties")) && !bytes.ContainsRune(spec, '\\') {
		return spec, nil
	}
	dec := json.NewDecoder(bytes.NewReader(spec))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, err
	}
	redactValue(value)
	text, err := marshal(value)
	return bytes.TrimSuffix(text, []byte("\n")), err
}

func redactValue(value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			if strings.EqualFold(name, "consumerProperties") {
				v[name] = redactProperties(inner)
				continue
			}
			redactValue(inner)
		}
	case []any:
		for _, inner := range v {
			redactValue(inner)
		}
	}
}

func redactProperties(value any) any {
	properties, ok := value.(map[string]any)
	if !ok {
		return redacted
	}
	for name := range properties {
		if !openProperty(name) {
			properties[name] = redacted
		}
	}
	return properties
}

func openProperty(name string) bool {
	if openProperties[name] {
		return true
	}
	for _, suffix := range openSuffixes {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
