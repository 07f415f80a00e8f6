// Shows chats and messages, live. Everything from the world goes into the document as text, never as markup.

const $ = (id) => document.getElementById(id);
let chosen = decodeURIComponent(location.hash.slice(1));
let me = null;
let chatId = null;
let shownUid = 0;
const drawn = new Map();

function element(name, { className, text, ...attributes } = {}, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) node.setAttribute(key, value);
  }
  node.append(...children.filter(Boolean));
  return node;
}

async function fetchJson(path, options) {
  const answer = await fetch(path, options);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}

const post = (path, body) =>
  fetchJson(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

function clock(seconds) {
  const date = new Date(seconds * 1000);
  const time = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  return element('time', { text: time, datetime: date.toISOString(), title: date.toLocaleString() });
}

// Only addresses that a person could open become links.
function link(url, children) {
  const safe = /^(https?|tg|mailto|tel):/i.test(url);
  const attributes = safe ? { href: url, target: '_blank', rel: 'noreferrer' } : {};
  return element(safe ? 'a' : 'span', { ...attributes, title: url }, ...children);
}

function wrap(entity, children, text, mentions) {
  switch (entity.type) {
    case 'bold': return element('b', {}, ...children);
    case 'italic': return element('i', {}, ...children);
    case 'underline': return element('u', {}, ...children);
    case 'strikethrough': return element('s', {}, ...children);
    case 'spoiler': return element('span', { className: 'spoiler', tabindex: 0, title: 'Spoiler' }, ...children);
    case 'blockquote': return element('blockquote', {}, ...children);
    case 'expandable_blockquote': return element('blockquote', { title: 'Expandable' }, ...children);
    case 'code': return element('code', {}, ...children);
    case 'pre': return element('pre', { 'data-language': entity.language }, ...children);
    case 'text_link': return link(entity.url, children);
    case 'url': return link(text.includes('://') ? text : `http://${text}`, children);
    case 'email': return link(`mailto:${text}`, children);
    case 'text_mention': return element('span', { className: 'author', title: mentions[entity.user_id] }, ...children);
    case 'custom_emoji': return element('span', { title: `Custom emoji ${entity.custom_emoji_id}` }, ...children);
    default: return element('span', { className: 'author' }, ...children);
  }
}

// Entities nest and are ordered, outer ones first. Their offsets count UTF-16 units, as strings here do.
function format(text, entities, mentions, from = 0, to = text.length) {
  const nodes = [];
  let at = from;
  for (let i = 0; i < entities.length; i++) {
    const entity = entities[i];
    if (entity.offset < at) continue;
    const end = entity.offset + entity.length;
    nodes.push(text.slice(at, entity.offset));
    const inner = entities.slice(i + 1).filter((other) => other.offset < end);
    const children = format(text, inner, mentions, entity.offset, end);
    nodes.push(wrap(entity, children, text.slice(entity.offset, end), mentions));
    // A line break at the edge of a block is the block's own.
    const isBlock = /quote|^pre$/.test(entity.type);
    at = isBlock && text[end] === '\n' ? end + 1 : end;
  }
  nodes.push(text.slice(at, to));
  return nodes.filter((node) => node !== '');
}

function buttonOf(message, button) {
  if (button.url) {
    return link(button.url, [`${button.text} ↗`]);
  }
  const node = element('button', { type: 'button', text: button.text, title: button.callback_data });
  node.addEventListener('click', () => press(message.uid, button.callback_data));
  return node;
}

async function press(uid, data) {
  await attempt(() => post(`/messages/${uid}/press`, { user_id: me, data }));
}

function bytes(size) {
  const units = ['bytes', 'KB', 'MB', 'GB'];
  const power = size < 1024 ? 0 : Math.min(3, Math.floor(Math.log2(size) / 10));
  return `${Number((size / 1024 ** power).toFixed(1))} ${units[power]}`;
}

function attachment(message) {
  const { media } = message;
  const sides = media.width ? `, ${media.width} × ${media.height}` : '';
  const lasts = media.duration ? `, ${media.duration} s` : '';
  const preview = message.preview
    && element('img', { className: media.spoiler ? 'preview hidden' : 'preview', src: `/files/${media.file_id}`, alt: media.name });
  return element('div', { className: 'file' },
    preview,
    element('div', { text: `📎 ${media.title ?? media.name}` }),
    element('div', { className: 'about', text: `${media.kind}, ${bytes(media.size)}${sides}${lasts}`, title: `SHA-256 ${media.sha256}` }),
    media.spoiler && element('div', { className: 'about', text: 'spoiler' }));
}

function pollOf(poll) {
  const kind = `${poll.anonymous ? 'anonymous' : 'public'} ${poll.quiz ? 'quiz' : 'poll'}`;
  const options = poll.options.map((text, index) =>
    element('li', { text: poll.correct.includes(index) ? `${text} ✓` : text }));
  return element('div', { className: 'file' },
    element('b', { text: poll.question }),
    element('div', { className: 'about', text: kind }),
    element('ul', {}, ...options));
}

function placeOf({ latitude, longitude, accuracy }) {
  const about = accuracy ? `, to ${accuracy} m` : '';
  return element('div', { className: 'file', text: `📍 ${latitude}, ${longitude}${about}` });
}

function notice(service) {
  if (service === 'deleted_photo') return 'The picture was taken away';
  const [[kind, value]] = Object.entries(service);
  const words = {
    new_title: `The title is now “${value}”`,
    new_photo: 'There is a new picture',
    pinned: `Message ${value} was pinned`,
    topic_created: `New topic “${value}”`,
  };
  return words[kind] ?? kind;
}

function bubble(message) {
  const mine = message.from === me && message.via !== 'bot_api';
  const marks = element('div', { className: 'marks' },
    message.silent && element('span', { text: '🔕 silent', title: 'Delivered without a sound' }),
    message.protected && element('span', { text: '🔒 protected', title: 'Cannot be forwarded or saved' }),
    message.link_preview?.is_disabled && element('span', { text: 'no preview' }),
    message.pinned && element('span', { text: '📌 pinned' }),
    message.album && element('span', { text: `album …${String(message.album).slice(-4)}`, title: `Album ${message.album}` }),
    message.thread && element('span', { text: `topic ${message.thread}` }),
    message.edited && element('span', { text: message.edits > 1 ? `edited ${message.edits} times` : 'edited' }),
    clock(message.date));
  const article = element('article', {},
    element('div', { className: 'author', text: message.author }),
    message.answered && element('div', { className: 'answered', text: `${message.answered.author}: ${message.answered.text}` }),
    message.origin && element('div', { className: 'answered', text: `Forwarded from ${message.origin}` }),
    message.service && element('div', { className: 'answered', text: notice(message.service) }),
    !message.caption_above && message.media && attachment(message),
    message.poll && pollOf(message.poll),
    message.location && placeOf(message.location),
    element('div', { className: 'words' }, ...format(message.text, message.entities, message.mentions)),
    message.caption_above && message.media && attachment(message),
    marks);
  const rows = message.buttons.map((row) =>
    element('div', { className: 'row' }, ...row.map((button) => buttonOf(message, button))));
  return element('li', { className: mine ? 'bubble mine' : 'bubble' }, article, ...rows);
}

function chatItem(chat) {
  const button = element('button', { type: 'button', 'aria-current': chat.key === chosen ? 'true' : null },
    element('span', { className: 'face', text: [...(chat.title ?? '?')][0], 'aria-hidden': 'true' }),
    element('span', { className: 'name', text: chat.title }),
    chat.last_date ? clock(chat.last_date) : element('span'),
    element('span', { className: 'last', text: chat.last_text ?? chat.note }));
  button.addEventListener('click', () => choose(chat.key));
  return element('li', {}, button);
}

function choose(key) {
  chosen = key;
  shownUid = 0;
  history.replaceState(null, '', `#${encodeURIComponent(key)}`);
  refresh();
}

// Draws only what changed, so that nobody loses their place or focus.
function isNew(part, data) {
  const json = JSON.stringify(data);
  const changed = drawn.get(part) !== json;
  drawn.set(part, json);
  return changed;
}

async function showChat() {
  const chat = await fetchJson(`/page/chats/${encodeURIComponent(chosen)}`);
  if (!isNew('chat', chat)) return;
  me = chat.me;
  chatId = chat.chat_id;
  $('title').textContent = chat.title;
  $('note').textContent = chat.note;
  $('composer').hidden = me === null;
  const list = $('messages');
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const empty = element('li', { className: 'empty', text: 'No messages yet' });
  list.replaceChildren(...(chat.messages.length ? chat.messages.map(bubble) : [empty]));
  const newest = chat.messages.at(-1)?.uid ?? 0;
  if (atEnd || shownUid === 0) list.scrollTop = list.scrollHeight;
  shownUid = newest;
}

async function refresh() {
  await attempt(async () => {
    const chats = await fetchJson('/page/chats');
    if (!chosen && chats.length) chosen = chats[0].key;
    if (isNew('chats', [chosen, chats])) $('chats').replaceChildren(...chats.map(chatItem));
    if (chosen) await showChat();
  });
}

async function attempt(action) {
  try {
    await action();
    $('refusal').textContent = '';
  } catch (error) {
    $('refusal').textContent = error.message;
  }
}

$('composer').addEventListener('submit', async (event) => {
  event.preventDefault();
  const text = $('text').value;
  await attempt(async () => {
    await post('/messages', { from: me, chat_id: chatId, text });
    $('text').value = '';
  });
});

const events = new EventSource('/events');
events.onmessage = refresh;
events.onopen = () => { $('live').textContent = 'Live.'; refresh(); };
events.onerror = () => { $('live').textContent = 'Connection lost, trying again…'; };
