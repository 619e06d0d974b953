import { answerArithmetic } from './arithmetic.ts';

interface Topic {
  readonly keywords: RegExp;
  readonly answer: string;
}

/** What the demo provider knows, in the order in which it is asked. */
const topics: readonly Topic[] = [
  {
    keywords: /\bhaiku\b|\bpoem\b/i,
    answer: `Rain falls in the hills.
Below, the weir keeps its line:
each field gets its share.`,
  },
  {
    keywords: /\bstor(?:y|ies)\b|\btale\b/i,
    answer: `There was a river that did whatever it liked. In spring it tore away the bridges, in August it was a row of puddles, and the three villages on its banks spent their evenings arguing about whose turn it was to be unlucky.

One autumn a woman named Ada came up the valley with a cart of oak beams. She did not dam the river, for she thought that rude. She laid a low, straight wall across it, a weir, just high enough that the water had to make up its mind before it went on. To the left it filled the mill race, to the right the ditch to the fields, and over the middle the rest slid down in one smooth sheet.

In spring the flood arrived, looked at the wall, and went over it. In August the wall held back what was left, and each village had its share. The children found that one could read the river's mood on a notched post beside it: so many hands of water, so many hours of rain.

"What does it do?" a traveller asked, who saw only a wall that water ran over.

"Nothing," said the miller, who had slept through the night for the first time in years. "It just sees to it that everything gets where it should. And it keeps count."`,
  },
  {
    keywords: /\b(?:a|the|old|low|real) weirs?\b|\bweirs\b/i,
    answer: `A weir is a low wall across a river. Unlike a dam it does not stop the water: the river flows over its crest, all the time, along the whole width.

It does three modest things well. It keeps the level behind it steady, so that mills, canals and fields upstream get their share. It spreads what arrives in a rush. And because the height of the water over the crest tells exactly how much is flowing, engineers use weirs to measure rivers.

Keep the level, spread the rush, measure the flow: that is why a gateway bears the name.`,
  },
  {
    keywords: /\bstream(?:s|ed|ing)?\b|\bsse\b/i,
    answer: `A language model makes its answer one token at a time, so there is no reason to wait for the last one before showing the first. With "stream": true the provider answers with server-sent events: a plain HTTP response that stays open, in which each line "data: {...}" carries the next piece of text, and "data: [DONE]" ends it.

A gateway must not get in the way of that. Weir writes each piece to the client as soon as it has been read, without timers and without collecting. At the same time it reads along: it notes when the first token came, and picks the token counts out of the last event, so that the access log knows what the call cost.

If you close the connection in the middle, Weir closes the one to the provider too. Nobody has to pay for text that nobody reads.`,
  },
  {
    keywords: /\btokens?\b/i,
    answer: `A token is the unit in which language models read and write: a short word, a part of a long one, a punctuation mark. Providers bill by it, separately for what you send (prompt tokens) and for what they write (completion tokens), and the usage object of an answer says how many there were. Weir writes both numbers into the access log.`,
  },
  {
    keywords: /\bweather\b|\bforecast\b/i,
    answer: `I cannot look out of the window, but I could call a tool. Send this question again with a "tools" array that holds a function named get_weather, and I will ask you to call it.`,
  },
  {
    keywords: /\bweir\b|\bgateway\b/i,
    answer: `Weir is an AI gateway: one program that stands between your applications and the providers of language models.

An application sends its call to one address. Weir finds the route for it, puts in the model and the credential that no client ever sees, forwards the call, and streams the answer back the moment it arrives. Afterwards one line in the access log says what happened: the status, the time to the first token, the model that was asked for and the one that answered, and the tokens that it cost.

It speaks the configuration language of Apache APISIX. A route with an ai-proxy plugin, the Admin API on port 9180, a config.yaml: what works there works here.`,
  },
  {
    keywords: /\bwho are you\b|\bwhat are you\b|\bhelp\b|\bwhat can you do\b/i,
    answer: `I am the demo provider that comes with Weir: a table of prepared answers behind the API of OpenAI, no language model. I need no account and no network, I cost nothing, and I always say the same.

Ask me what Weir is, how streaming works, what a token is, for a story, a haiku or a sum. Or ask for trouble: "please fail with 429" gets you that status, and "fail with a broken-stream", "a stall", "garbage", "an empty-stream" or "a reset" shows what the gateway makes of a provider that misbehaves. "Answer slowly" is allowed too.`,
  },
  {
    keywords: /\b(?:hello|hi|hey|good (?:morning|day|evening))\b/i,
    answer: `Hello! I am the demo provider behind this gateway. Ask me what Weir is, how streaming works, or what 6 * 7 makes.`,
  },
  {
    keywords: /\bthank(?:s| you)\b/i,
    answer: `You are welcome. It was prepared with care.`,
  },
];

const maxQuoteLength = 200;

/** The text that answers a question: always the same for the same question. */
export function answerTo(question: string): string {
  const asked = question.trim();
  if (asked === '') return 'You have not asked anything. That is fine: the connection works.';
  return answerArithmetic(asked) ?? topics.find(({ keywords }) => keywords.test(asked))?.answer ?? fallback(asked);
}

/** @param result - What the client's tool has returned. */
export function answerToToolResult(result: string): string {
  return `The tool says: ${quote(result)}. That is all I needed to know, thank you for calling it.`;
}

function fallback(question: string): string {
  return `You asked: "${quote(question)}"

A language model would now say something clever about that. I am the demo provider that comes with Weir, a small table of prepared answers, and this question is not in it. But your call has made the whole journey: it found a route, got its credential and its model from the gateway, reached a provider, and came back counted and logged.

Try "What is Weir?", "How does streaming work?", "Tell me a story" or "What is 6 * 7?".`;
}

function quote(text: string): string {
  const line = text.trim().replaceAll(/\s+/g, ' ');
  return line.length <= maxQuoteLength ? line : `${line.slice(0, maxQuoteLength).toWellFormed()}…`;
}
