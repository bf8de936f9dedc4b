package pricing

import "strings"

// maxIDBytes bounds a model id: anything longer is no id.
const maxIDBytes = 256

// sdkPrefixes are what SDKs and gateways put before an id, whoever is called; a longer one stands before one that begins
// it. A provider's own names come beside them.
var sdkPrefixes = [...]string{
	"azure_ai/", "azure/", "bedrock/", "vertex_ai/", "gemini/", "openai/", "anthropic/", "mistral/", "cohere/", "groq/",
	"xai/", "deepseek/", "together_ai/", "fireworks_ai/", "perplexity/", "openrouter/", "converse/", "invoke/", "chat/",
}

const (
	providerAzure      = "azure.ai.openai"
	providerBedrock    = "aws.bedrock"
	providerOpenRouter = "openrouter"
	providerVertex     = "gcp.vertex_ai"
	freeSuffix         = ":free"
	// googlePrefix is how Vertex AI's OpenAI-compatible endpoint names Google's models; hosts sell ids that begin so.
	googlePrefix = "google/"
)

type fixedWord struct{ text, word string }

// azureRegions are path segments before an Azure id and the deployment type that they state.
var azureRegions = [...]fixedWord{
	{"us/", "datazone-us"}, {"eu/", "datazone-eu"}, {"global/", "global"}, {"global-standard/", "global"},
}

// bedrockGeos are the prefixes of cross-region inference profiles and the deployment type that they state.
var bedrockGeos = [...]fixedWord{
	{"us-gov.", "geo"}, {"us.", "geo"}, {"eu.", "geo"}, {"apac.", "geo"}, {"au.", "geo"}, {"ca.", "geo"},
	{"in.", "geo"}, {"jp.", "geo"}, {"global.", "global"},
}

// unwrap returns the id inside an ARN or a path; ended says that the text names something else. What a customer made or
// rents (a tuned model, an endpoint, a profile or throughput of his own) is called as he likes, and is billed otherwise
// than the model of that name: only an alias can tell.
func unwrap(provider, text string) (id string, ended bool) {
	if start := strings.Index(text, "arn:"); start == 0 || start > 0 && text[start-1] == '/' {
		resource := text[start:]
		for range 5 {
			if _, rest, ok := strings.Cut(resource, ":"); ok {
				resource = rest
			}
		}
		kind, name, _ := strings.Cut(resource, "/")
		if kind != "foundation-model" && kind != "inference-profile" {
			return text, true
		}
		return name[strings.LastIndexByte(name, '/')+1:], false
	}
	index := strings.LastIndex(text, "models/")
	if index < 0 || index > 0 && text[index-1] != '/' {
		return text, false
	}
	path, owner := cutLast(strings.TrimSuffix(text[:index], "/"))
	_, holder := cutLast(path)
	return text[index+len("models/"):], holder == "locations" || holder == "accounts" && owner != provider
}

// cutLast splits a path before its last segment.
func cutLast(path string) (before, last string) {
	index := strings.LastIndexByte(path, '/')
	return path[:max(index, 0)], path[index+1:]
}

// withoutPrefix strips one known prefix. OpenRouter's own ids begin with a vendor that is also an SDK's prefix: there only
// its own name comes off. A provider's name comes off where it is certain who bills (own): elsewhere a maker's word is as
// likely that of weights on a server of one's own.
func withoutPrefix(owner *provider, text string, own bool) string {
	if owner.key != providerOpenRouter {
		for _, prefix := range sdkPrefixes {
			if rest, ok := strings.CutPrefix(text, prefix); ok {
				return rest
			}
		}
	}
	if !own {
		return text
	}
	if rest, ok := withoutName(owner.key, text); ok {
		return rest
	}
	for _, name := range owner.names {
		if rest, ok := withoutName(name, text); ok {
			return rest
		}
	}
	if owner.key == providerVertex {
		return strings.TrimPrefix(text, googlePrefix)
	}
	return text
}

func withoutName(name, text string) (string, bool) {
	rest, ok := strings.CutPrefix(text, name)
	if !ok || rest == "" || rest[0] != '/' && rest[0] != ':' {
		return text, false
	}
	return rest[1:], true
}

// withoutRegion strips an Azure region segment, which becomes a deployment type, or a Bedrock one, which becomes a region.
func withoutRegion(provider, text string, fixed *factSet) string {
	switch provider {
	case providerAzure:
		for _, region := range azureRegions {
			if rest, ok := strings.CutPrefix(text, region.text); ok {
				fixed[factDeploymentType] = region.word
				return rest
			}
		}
	case providerBedrock:
		if region, rest, ok := strings.Cut(text, "/"); ok && isAWSRegion(region) {
			fixed[factRegion] = region
			return rest
		}
	}
	return text
}

// isAWSRegion says whether a word is of the form us-east-1 or us-gov-west-1.
func isAWSRegion(word string) bool {
	words := strings.Split(word, "-")
	last := len(words) - 1
	if last < 2 || len(words[0]) != 2 || len(words[last]) != 1 || !allDigits(words[last]) {
		return false
	}
	for _, word := range words[:last] {
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") != "" {
			return false
		}
	}
	return true
}

// withoutContext strips a context suffix: "[1m]", ":128k"; on OpenRouter any ":suffix" but ":free".
func withoutContext(provider, text string) string {
	if provider == providerOpenRouter {
		id, _, _ := strings.Cut(text, ":")
		return id
	}
	if id, ok := strings.CutSuffix(text, "[1m]"); ok {
		return id
	}
	if colon := strings.LastIndexByte(text, ':'); colon >= 0 {
		size, ok := strings.CutSuffix(text[colon+1:], "k")
		if ok && size != "" && allDigits(size) {
			return text[:colon]
		}
	}
	return text
}

// tails are the shapes of one date or version tail, longest first.
var tails = [...]string{
	"-preview-MM-20YY", "-preview-MM-DD", "-20YY-MM-DD", "-20YYMMDD", "@20YYMMDD", "-MM-20YY", "-latest",
}

// withoutTail strips one date or version tail. Digits that are no date are a part of the name.
func withoutTail(text string) string {
	for _, shape := range tails {
		if start := len(text) - len(shape); start >= 0 && hasShape(text[start:], shape) {
			return text[:start]
		}
	}
	return text
}

// hasShape says whether a text of the same length is the shape with digits for YY, a month for MM and a day for DD.
func hasShape(text, shape string) bool {
	for index := 0; index < len(shape); index++ {
		low, high := 0, 0
		switch shape[index] {
		case 'Y':
			high = 99
		case 'M':
			low, high = 1, 12
		case 'D':
			low, high = 1, 31
		default:
			if text[index] != shape[index] {
				return false
			}
			continue
		}
		if pair := text[index : index+2]; !allDigits(pair) || !within(pair, low, high) {
			return false
		}
		index++
	}
	return true
}

func within(digits string, low, high int) bool {
	value := int(digits[0]-'0')*10 + int(digits[1]-'0')
	return low <= value && value <= high
}

// withoutGeo strips a Bedrock geo prefix, which becomes a deployment type.
func withoutGeo(text string, fixed *factSet) string {
	for _, geo := range bedrockGeos {
		if rest, ok := strings.CutPrefix(text, geo.text); ok && rest != "" {
			fixed[factDeploymentType] = geo.word
			return rest
		}
	}
	return text
}

// fineTuned returns "ft:<base>" of "ft:<base>:<org>::<id>"; ok says that the id is of that kind.
func fineTuned(text string) (base string, ok bool) {
	rest, ok := strings.CutPrefix(text, "ft:")
	if colon := strings.IndexByte(rest, ':'); ok && colon >= 0 {
		return text[:len("ft:")+colon], true
	}
	return text, ok
}

// trimASCII trims ASCII white space; other white space is a part of the text.
func trimASCII(text string) string {
	if text == "" || text[0] > ' ' && text[len(text)-1] > ' ' {
		return text
	}
	return strings.Trim(text, " \t\n\r\v\f")
}
