import { isJsonObject, type JsonObject } from '../../json.ts';

/**
 * The parts of a chat message that a text, image or document block becomes. Documents travel as image_url too, as in
 * APISIX; those of plain text become text.
 *
 * @returns None for blocks of other types and for sources that cannot be passed on, such as files kept at Anthropic.
 */
export function toChatParts(block: JsonObject): readonly JsonObject[] {
  const { type, text, source } = block;
  if (type === 'text') return typeof text === 'string' ? [textPart(text)] : [];
  if ((type !== 'image' && type !== 'document') || !isJsonObject(source)) return [];

  const { type: sourceType, media_type: mediaType, data, url, content } = source;
  switch (sourceType) {
    case 'base64':
      return typeof mediaType === 'string' && typeof data === 'string'
        ? [imagePart(`data:${mediaType};base64,${data}`)]
        : [];
    case 'url':
      return typeof url === 'string' ? [imagePart(url)] : [];
    case 'text':
      return typeof data === 'string' ? [textPart(data)] : [];
    case 'content':
      if (typeof content === 'string') return [textPart(content)];
      return Array.isArray(content) ? content.filter(isJsonObject).flatMap(toChatParts) : [];
    default:
      return [];
  }
}

function textPart(text: string): JsonObject {
  return { type: 'text', text };
}

function imagePart(url: string): JsonObject {
  return { type: 'image_url', image_url: { url } };
}
