package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/spec"
)

// Errors about settings that callers decide by; match them with errors.Is.
var (
	// ErrNoDatasource: no datasource has this name.
	ErrNoDatasource = errors.New("no such datasource")
	// ErrNoSetting: the datasource has no auto-compaction config.
	ErrNoSetting = errors.New("auto-compaction is not configured")
)

// SettingVersion is one version of a setting as people see it.
type SettingVersion struct {
	Version int64           `json:"version"`
	Time    string          `json:"auditTime"`
	Value   json.RawMessage `json:"value"` // null: taken away
}

// SetAutoCompaction switches auto-compaction on for a datasource, or changes how it works. A config that is refused is an
// error of type spec.Problems or *compaction.PlanError, and has changed nothing.
func (c *Coordinator) SetAutoCompaction(ctx context.Context, data []byte) (warnings []string, err error) {
	config, warnings, err := spec.ParseAutoCompaction(data)
	if err != nil {
		return warnings, withProblems(err, compaction.DocumentProblems(spec.DocumentsOf(data)))
	}
	return warnings, c.putSetting(ctx, catalog.SettingAutoCompaction, config.DataSource, config.Canonical,
		func(view *catalog.View, ds *catalog.DatasourceView) error {
			return checkAutoCompaction(view, ds, config)
		})
}

// checkAutoCompaction tries the config out on the newest chunk: what is refused there would be refused every time.
func checkAutoCompaction(view *catalog.View, ds *catalog.DatasourceView, config *spec.AutoCompaction) error {
	granularity, err := spec.ParseGranularity(ds.SegmentGranularity)
	if err != nil {
		return fmt.Errorf("datasource %s: %w", ds.Name, err)
	}
	var newest spec.Interval
	newest.StartMillis, newest.EndMillis = granularity.Chunk(0)
	for _, b := range ds.Buckets {
		if !b.Dropped() {
			newest = spec.Interval{StartMillis: b.Bucket.StartMillis, EndMillis: b.Bucket.EndMillis}
		}
	}
	if g := config.Change.SegmentGranularity; g != nil { // the whole chunk that it would be in
		start, _ := g.Chunk(newest.StartMillis)
		_, end := g.Chunk(newest.EndMillis - 1)
		newest = spec.Interval{StartMillis: min(start, newest.StartMillis), EndMillis: max(end, newest.EndMillis)}
	}
	text, err := autoTask(config, originHistorical, newest)
	if err != nil {
		return err
	}
	t, _, err := spec.ParseTask(text)
	if err != nil {
		return err
	}
	t.AllowNonAlignedInterval = true
	if _, err := compaction.PlanTask(view, t); err != nil && !errors.Is(err, compaction.ErrNoSegments) {
		return err
	}
	return nil
}

// DeleteAutoCompaction switches auto-compaction off. Tasks that wait or run go on.
func (c *Coordinator) DeleteAutoCompaction(ctx context.Context, datasource string) error {
	return c.putSetting(ctx, catalog.SettingAutoCompaction, datasource, nil, nil)
}

// AutoCompaction is the datasource's config; ErrNoSetting where there is none.
func (c *Coordinator) AutoCompaction(datasource string) (json.RawMessage, error) {
	ds, err := c.datasource(datasource)
	if err != nil {
		return nil, err
	}
	if ds.AutoCompaction == nil {
		return nil, fmt.Errorf("%w for datasource %q", ErrNoSetting, datasource)
	}
	return ds.AutoCompaction.Value, nil
}

// AutoCompactions are the configs of all datasources that have one, by name.
func (c *Coordinator) AutoCompactions() []json.RawMessage {
	view := c.o.Catalog.View()
	out := []json.RawMessage{}
	for _, name := range slices.Sorted(maps.Keys(view.Datasources)) {
		if s := view.Datasources[name].AutoCompaction; s != nil {
			out = append(out, s.Value)
		}
	}
	return out
}

// AutoCompactionHistory are the versions of the datasource's config, newest first.
func (c *Coordinator) AutoCompactionHistory(ctx context.Context, datasource string) ([]SettingVersion, error) {
	return c.settingHistory(ctx, catalog.SettingAutoCompaction, datasource)
}

// SetRules sets the datasource's retention rules; an empty list takes them away. Rules that are refused are an error of type
// spec.Problems.
func (c *Coordinator) SetRules(ctx context.Context, datasource string, data []byte) (warnings []string, err error) {
	rules, warnings, err := spec.ParseRules(data)
	if err != nil {
		return warnings, err
	}
	warnings = append(warnings, compaction.RetentionWarnings(rules)...)
	ds, err := c.datasource(datasource)
	if err != nil {
		return warnings, err
	}
	drops, err := dropWarning(ds, rules, c.o.Now().UnixMilli())
	if err != nil {
		return warnings, fmt.Errorf("look at what the rules of %s drop: %w", datasource, err)
	}
	if drops != "" {
		warnings = append(warnings, drops)
	}
	var value json.RawMessage
	if len(rules) > 0 {
		if value, err = json.Marshal(rules); err != nil {
			return warnings, fmt.Errorf("write the rules of %s: %w", datasource, err)
		}
	}
	return warnings, c.putSetting(ctx, catalog.SettingRules, datasource, value, nil)
}

// Rules are the datasource's retention rules; an empty list where there are none: everything is kept.
func (c *Coordinator) Rules(datasource string) (json.RawMessage, error) {
	ds, err := c.datasource(datasource)
	switch {
	case err != nil:
		return nil, err
	case ds.Rules == nil:
		return json.RawMessage("[]"), nil
	}
	return ds.Rules.Value, nil
}

// RulesHistory are the versions of the datasource's rules, newest first.
func (c *Coordinator) RulesHistory(ctx context.Context, datasource string) ([]SettingVersion, error) {
	return c.settingHistory(ctx, catalog.SettingRules, datasource)
}

// AllRules are the rules of all datasources that have some, by name.
func (c *Coordinator) AllRules() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for name, ds := range c.o.Catalog.View().Datasources {
		if ds.Rules != nil {
			out[name] = ds.Rules.Value
		}
	}
	return out
}

func (c *Coordinator) datasource(name string) (*catalog.DatasourceView, error) {
	return datasourceOf(c.o.Catalog.View(), name)
}

// datasourceOf finds the datasource in a view; ErrNoDatasource where it has none of this name.
func datasourceOf(view *catalog.View, name string) (*catalog.DatasourceView, error) {
	if ds := view.Datasources[name]; ds != nil {
		return ds, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrNoDatasource, name)
}

// putSetting publishes a value, nil for none, and returns when the newest view has it. check, where there is one, may refuse
// it. What is in force already is not published again.
func (c *Coordinator) putSetting(ctx context.Context, kind catalog.SettingKind, datasource string, value json.RawMessage,
	check func(*catalog.View, *catalog.DatasourceView) error,
) error {
	var err error
	for range submitAttempts {
		var view *catalog.View
		if view, err = c.o.Catalog.Refresh(ctx); err != nil {
			return fmt.Errorf("set %s of %s: %w", kind, datasource, err)
		}
		var ds *catalog.DatasourceView
		if ds, err = datasourceOf(view, datasource); err != nil {
			return err
		}
		if check != nil {
			if err := check(view, ds); err != nil {
				return err
			}
		}
		old := ds.AutoCompaction
		if kind == catalog.SettingRules {
			old = ds.Rules
		}
		version := int64(0)
		if old != nil {
			version = old.Version
		}
		if old == nil && value == nil || old != nil && sameJSON(old.Value, value) {
			return nil
		}
		put := value
		if put == nil {
			put = json.RawMessage("null")
		}
		_, err = c.o.Catalog.PutSetting(ctx, kind, datasource, put, version)
		switch {
		case err == nil:
			c.o.Logger.Info("setting changed", "setting", kind, "datasource", datasource, "removed", value == nil)
			_, err = c.o.Catalog.Refresh(ctx)
			return err
		case !errors.Is(err, catalog.ErrConflict) && !errors.Is(err, catalog.ErrUnknown):
			return fmt.Errorf("set %s of %s: %w", kind, datasource, err)
		}
	}
	return fmt.Errorf("set %s of %s: others changed it %d times meanwhile: try again: %w", kind, datasource, submitAttempts, err)
}

// sameJSON compares texts but for white space.
func sameJSON(a, b json.RawMessage) bool {
	if len(b) == 0 {
		return false
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && slices.Equal(x, y)
}

func (c *Coordinator) settingHistory(ctx context.Context, kind catalog.SettingKind, datasource string) ([]SettingVersion, error) {
	if _, err := c.datasource(datasource); err != nil {
		return nil, err
	}
	versions, err := c.o.Catalog.SettingHistory(ctx, kind, datasource)
	if err != nil {
		return nil, err
	}
	out := make([]SettingVersion, 0, len(versions))
	for _, v := range versions {
		out = append(out, SettingVersion{Version: v.Version, Time: spec.FormatInstant(v.UpdatedMillis), Value: v.Value})
	}
	return out, nil
}
