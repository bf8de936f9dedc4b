package pricing

import (
	"errors"
	"strings"
	"testing"
)

// bookText is a small book; tests replace one piece of it.
const bookText = `{"schema":"otel-tokenomics/pricebook/1","id":"t","version":"2026.11.22","generated_at":"2026-11-22T05:00:00Z",
"currency":"USD","scale":12,"calendars":{"peak":{"tz":"UTC","windows":[["01:00","04:00"]],"weekdays":[1]}},
"providers":{"openai":{"kind":"first_party","hosts":["api.openai.com"]},"lab":{"kind":"host","names":["laboratory"]}},
"models":[{"p":"openai","id":"a","ids":["b"],"rows":[{"rates":{"input":1000,"output":2000},"tiers":[{"gt":10,"rates":{"input":3000}}]},
{"when":{"service_tier":["flex"]},"rates":{"input":500},"tiers":[]}]},{"p":"openai","id":"c","rows":[{"rates":{"input":7}}]}],
"multipliers":[{"p":"openai","ids":["a"],"ratio":[11,10],"units":["input"],"when":{"inference_geo":["us"]}}]}`

func mustParse(t testing.TB, text string) *Book {
	t.Helper()
	book, err := Parse([]byte(text), "test.json")
	if err != nil {
		t.Fatal(err)
	}
	return book
}

func swap(t *testing.T, old, fresh string) string {
	t.Helper()
	if strings.Count(bookText, old) != 1 {
		t.Fatalf("%q does not stand once in the book", old)
	}
	return strings.Replace(bookText, old, fresh, 1)
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct{ old, fresh, path, rule string }{
		"unknown schema":     {`pricebook/1`, `pricebook/2`, "schema", "must be one of otel-tokenomics/pricebook/1"},
		"other currency":     {`"currency":"USD"`, `"currency":"EUR"`, "currency", "must be one of USD"},
		"other scale":        {`"scale":12`, `"scale":9`, "scale", "must be between 12 and 12"},
		"unknown top key":    {`"scale":12`, `"scale":12,"cale":1`, "cale", "unknown key"},
		"unknown model key":  {`"ids":["b"]`, `"idz":["b"]`, "models[0].idz", "unknown key"},
		"unknown row key":    {`"tiers":[]`, `"tiers":[],"tear":[]`, "models[0].rows[1].tear", "unknown key"},
		"unknown unit":       {`"input":7`, `"inputs":7`, "models[1].rows[0].rates.inputs", "unknown key"},
		"negative rate":      {`"input":7`, `"input":-7`, "models[1].rows[0].rates.input", "must be between 0 and"},
		"fractional rate":    {`"input":7`, `"input":7.5`, "models[1].rows[0].rates.input", "must be an integer"},
		"rate as text":       {`"input":7`, `"input":"7"`, "models[1].rows[0].rates.input", "must be an integer"},
		"huge rate":          {`"input":7`, `"input":1000000000000001`, "models[1].rows[0].rates.input", "must be between 0 and"},
		"rate beyond int64":  {`"input":7`, `"input":99999999999999999999`, "models[1].rows[0].rates.input", "must be between 0 and"},
		"upper-case id":      {`"id":"c"`, `"id":"C"`, "models[1].id", "must be lower case"},
		"duplicate id":       {`"id":"c"`, `"id":"a"`, "models[1].id", "stands in models[0] already"},
		"duplicate alias":    {`"id":"c"`, `"id":"b"`, "models[1].id", "stands in models[0] already"},
		"unknown provider":   {`{"p":"openai","id":"c"`, `{"p":"nobody","id":"c"`, "models[1].p", "unknown provider"},
		"dangling calendar":  {`{"service_tier":["flex"]}`, `{"calendar":["lunch"]}`, "models[0].rows[1].when.calendar", "no calendar"},
		"unknown condition":  {`{"service_tier":["flex"]}`, `{"tier":["flex"]}`, "models[0].rows[1].when.tier", "unknown condition"},
		"empty condition":    {`["flex"]`, `[]`, "models[0].rows[1].when.service_tier", "must be a list"},
		"upper condition":    {`["flex"]`, `["Flex"]`, "models[0].rows[1].when.service_tier[0]", "must be lower case"},
		"inherited tiers":    {`,"tiers":[]`, ``, "models[0].rows[1].tiers", "must be stated"},
		"overlapping rows":   {`{"rates":{"input":7}}`, `{"until":"2026-02-01T00:00:00Z","rates":{"input":7}},{"from":"2026-01-31T23:59:59Z","rates":{"input":8}}`, "models[1].rows[1]", "overlaps rows[0]"},
		"ambiguous rows":     {`{"rates":{"input":7}}`, `{"when":{"region":["x","y"]},"rates":{"input":7}},{"when":{"region":["y"]},"rates":{"input":8}}`, "models[1].rows[1]", "is as good a choice as rows[0]"},
		"date without time":  {`{"rates":{"input":7}}`, `{"from":"2026-02-01","rates":{"input":7}}`, "models[1].rows[0].from", "RFC 3339"},
		"other time zone":    {`{"rates":{"input":7}}`, `{"from":"2026-02-01T00:00:00+01:00","rates":{"input":7}}`, "models[1].rows[0].from", "in UTC"},
		"empty time":         {`{"rates":{"input":7}}`, `{"from":"2026-02-01T00:00:00Z","until":"2026-02-01T00:00:00Z","rates":{"input":7}}`, "models[1].rows[0]", "from must be before until"},
		"tiers descend":      {`{"gt":10,"rates":{"input":3000}}`, `{"gt":10,"rates":{}},{"gt":10,"rates":{}}`, "models[0].rows[0].tiers[1].gt", "must be above"},
		"no rows":            {`"rows":[{"rates":{"input":7}}]`, `"rows":[]`, "models[1].rows", "must not be empty"},
		"other zone":         {`"tz":"UTC"`, `"tz":"Asia/Shanghai"`, "calendars.peak.tz", "must be one of UTC"},
		"window at midnight": {`["01:00","04:00"]`, `["23:00","01:00"]`, "calendars.peak.windows[0]", "across midnight"},
		"weekday 8":          {`"weekdays":[1]`, `"weekdays":[8]`, "calendars.peak.weekdays[0]", "between 1 and 7"},
		"unknown kind":       {`"kind":"host"`, `"kind":"guest"`, "providers.lab.kind", "must be one of"},
		"stolen name":        {`"laboratory"`, `"openai"`, "providers.lab.names[0]", "belongs to openai already"},
		"zero ratio":         {`[11,10]`, `[0,10]`, "multipliers[0].ratio[0]", "between 1 and 1000000"},
		"huge ratio":         {`[11,10]`, `[11,1000001]`, "multipliers[0].ratio[1]", "between 1 and 1000000"},
		"multiplier of none": {`"units":["input"]`, `"units":["inputs"]`, "multipliers[0].units[0]", "unknown unit"},
		"no JSON":            {`"scale":12,`, "\n\"scale\":12,,", "line 3", "is no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(swap(t, test.old, test.fresh)), "prices/my.json")
			var refused *BookError
			if !errors.As(err, &refused) {
				t.Fatalf("accepted: %v", err)
			}
			if refused.Origin != "prices/my.json" || refused.Path != test.path || !strings.Contains(refused.Rule, test.rule) {
				t.Errorf("got %v, want path %s and %q", refused, test.path, test.rule)
			}
		})
	}
	for _, text := range []string{"", "[]", "null", bookText + "{}", `{"models":[]}`} {
		if _, err := Parse([]byte(text), "x"); err == nil {
			t.Errorf("%q was accepted", shorten(text))
		}
	}
}

func TestFreeKeysAreAccepted(t *testing.T) {
	mustParse(t, swap(t, `"scale":12`, `"scale":12,"x-note":{"any":1}`))
	mustParse(t, swap(t, `"input":7}`, `"input":7},"x-disputed":{"input":[7,8]}`))
}

func TestOverlayRefuses(t *testing.T) {
	base := mustParse(t, bookText)
	for text, path := range map[string]string{
		`{"discount":[]}`: "discount",
		`{"discounts":[{"p":"openai","ratio":[85,100],"percent":15}]}`:                       "discounts[0].percent",
		`{"discounts":[{"p":"openai","match":"gp*t","ratio":[85,100]}]}`:                     "discounts[0].match",
		`{"discounts":[{"p":"nobody","ratio":[85,100]}]}`:                                    "discounts[0].p",
		`{"models":[{"p":"lab","id":"m","rows":[{"usd_per_million":{"input":2}}]}]}`:         "models[0].rows[0].usd_per_million.input",
		`{"models":[{"p":"lab","id":"m","rows":[{"usd_per_million":{"input":"-2"}}]}]}`:      "models[0].rows[0].usd_per_million.input",
		`{"models":[{"p":"lab","id":"m","rows":[{"usd_per_million":{"web_search":"2"}}]}]}`:  "models[0].rows[0].usd_per_million.web_search",
		`{"models":[{"p":"lab","id":"m","rows":[{"usd_each":{"input":"2"}}]}]}`:              "models[0].rows[0].usd_each.input",
		`{"models":[{"p":"lab","id":"m","rows":[{"usd_each":{"web_search":"5000"}}]}]}`:      "models[0].rows[0].usd_each.web_search",
		`{"models":[{"p":"lab","id":"m","rows":[{}]}]}`:                                      "models[0].rows[0].rates",
		`{"aliases":{"lab":{"mine":{"modell":"a"}}}}`:                                        "aliases.lab.mine.modell",
		`{"static":[{"name":"x","usd":"1","tag":{}}]}`:                                       "static[0].tag",
		`{"adjacent":[{"name":"x","match":{"a":1},"unit":"request","usd_each":"1"}]}`:        "adjacent[0].match.a",
		`{"capacity":[{"p":"lab","ids":["x"],"kind":"gpu","gpus":0}]}`:                       "capacity[0].usd_per_gpu_hour",
		`{"capacity":[{"p":"lab","ids":["x"],"kind":"hourly","usd_per_hour":"1","gpus":1}]}`: "capacity[0].gpus",
	} {
		_, err := base.WithOverlay([]byte(text), "mine.json")
		var refused *BookError
		if !errors.As(err, &refused) || refused.Path != path || refused.Origin != "mine.json" {
			t.Errorf("%s: got %v, want a refusal at %s", text, err, path)
		}
	}
}

func TestIDNamesTheOverlay(t *testing.T) {
	base := mustParse(t, bookText)
	// The first eight hex digits of the sha256 of "{}".
	overlaid, err := base.WithOverlay([]byte("{}"), "mine.json")
	if err != nil || base.ID() != "t@2026.11.22" || overlaid.ID() != "t@2026.11.22+44136fa3" {
		t.Errorf("%s, %s, %v", base.ID(), overlaid.ID(), err)
	}
}

func TestCheckSuccessor(t *testing.T) {
	inUse := mustParse(t, bookText)
	for name, test := range map[string]struct{ old, fresh, path string }{
		"the same":          {`"id":"t"`, `"id":"t"`, ""},
		"ten times":         {`"input":7}`, `"input":70}`, ""},
		"more than ten":     {`"input":7}`, `"input":71}`, "models[1].rows[0].rates.input"},
		"less than a tenth": {`"output":2000`, `"output":199`, "models[0].rows[0].rates.output"},
		"to nothing":        {`"input":7}`, `"input":0}`, "models[1].rows[0].rates.input"},
		"in a tier":         {`"gt":10,"rates":{"input":3000}`, `"gt":10,"rates":{"input":30001}`, "models[0].rows[0].tiers[0].rates.input"},
		"in a newer row":    {`{"rates":{"input":7}}`, `{"until":"2026-11-22T00:00:00Z","rates":{"input":7}},{"from":"2026-11-22T00:00:00Z","rates":{"input":700}}`, "models[1].rows[1].rates.input"},
		"older version":     {`"version":"2026.11.22"`, `"version":"2026.9.30"`, "version"},
		"newer version":     {`"version":"2026.11.22"`, `"version":"2026.11.22.1"`, ""},
		"older date":        {`T05:00:00Z`, `T04:59:59Z`, "generated_at"},
	} {
		t.Run(name, func(t *testing.T) {
			err := inUse.CheckSuccessor(mustParse(t, swap(t, test.old, test.fresh)), "next.json", DefaultMaxChangeRatio)
			var refused *BookError
			if errors.As(err, &refused) != (test.path != "") || refused != nil && refused.Path != test.path {
				t.Errorf("got %v, want a refusal at %q", err, test.path)
			}
		})
	}
	jump := strings.Replace(swap(t, `"input":7}`, `"input":71}`), `"scale":12`, `"scale":12,"x-accepted-jumps":["openai/c"]`, 1)
	if err := inUse.CheckSuccessor(mustParse(t, jump), "next.json", DefaultMaxChangeRatio); err != nil {
		t.Errorf("an accepted jump was refused: %v", err)
	}
	if err := inUse.CheckSuccessor(mustParse(t, swap(t, `"input":7}`, `"input":71}`)), "next.json", 0); err != nil {
		t.Errorf("the check is off: %v", err)
	}
}
