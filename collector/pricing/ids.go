package pricing

import "strings"

// maxIDBytes bounds a model id: anything longer is no id.
const maxIDBytes = 256

// sdkPrefixes are what SDKs and gateways put before an id; a longer one stands before one that begins it.
var sdkPrefixes = [...]string{
	"azure_ai/", "azure/", "bedrock/", "vertex_ai/", "gemini/", "openai/", "anthropic/", "mistral/", "cohere/", "groq/",
	"xai/", "deepseek/", "together_ai/", "fireworks_ai/", "perplexity/", "openrouter/", "converse/", "chat/",
}

const (
	providerAzure      = "azure.ai.openai"
	providerBedrock    = "aws.bedrock"
	providerOpenRouter = "openrouter"
	freeSuffix         = ":free"
)

type fixedWord struct{ text, word string }

// azureRegions are path segments before an Azure id and the deployment type that they state.
var azureRegions = [...]fixedWord{
	{"us/", "datazone-us"}, {"eu/", "datazone-eu"}, {"global/", "global"}, {"global-standard/", "global"},
}

// bedrockGeos are the prefixes of cross-region inference profiles and the deployment type that they state.
var bedrockGeos = [...]fixedWord{
	{"us-gov.", "geo"}, {"us.", "geo"}, {"eu.", "geo"}, {"apac.", "geo"}, {"au.", "geo"}, {"jp.", "geo"},
	{"global.", "global"},
}

// unwrap returns the id inside an ARN or a path. An application inference profile names no model: only an alias can.
func unwrap(text string) (id string, ended bool) {
	if strings.HasPrefix(text, "arn:") {
		if strings.Contains(text, "application-inference-profile/") {
			return text, true
		}
		return text[strings.LastIndexByte(text, '/')+1:], false
	}
	if index := strings.LastIndex(text, "models/"); index >= 0 {
		return text[index+len("models/"):], false
	}
	return text, false
}

// withoutPrefix strips one known SDK prefix. OpenRouter's own ids begin with a vendor that is also an SDK's prefix:
// there only its own name comes off.
func withoutPrefix(provider, text string) string {
	if provider == providerOpenRouter {
		return strings.TrimPrefix(text, "openrouter/")
	}
	for _, prefix := range sdkPrefixes {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			return rest
		}
	}
	return text
}

// withoutRegion strips an Azure region segment, which becomes a deployment type.
func withoutRegion(provider, text string, fixed *factSet) string {
	if provider != providerAzure {
		return text
	}
	for _, region := range azureRegions {
		if rest, ok := strings.CutPrefix(text, region.text); ok {
			fixed[factDeploymentType] = region.word
			return rest
		}
	}
	return text
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
