// Plays the person's phone. Everything from the world goes into the document as text, never as markup.

const $ = (id) => document.getElementById(id);
let chosen = Number(location.hash.slice(1)) || null;
const drawn = new Map();

function element(name, { text, ...attributes } = {}, ...children) {
  const node = document.createElement(name);
  if (text !== undefined && text !== null) node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) node.setAttribute(key, value);
  }
  node.append(...children.filter(Boolean));
  return node;
}

async function call(method, path, body) {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  if (answer.ok) return JSON.parse(text);
  let reason = text;
  try {
    reason = JSON.parse(text).error ?? text;
  } catch {
    // Not JSON: the text itself is the reason.
  }
  throw new Error(reason);
}

const account = (path = '') => `/mtproto/accounts/${chosen}${path}`;

// Draws only what changed, so that nobody loses their place or focus.
function draw(id, data, nodes) {
  const json = JSON.stringify(data);
  if (drawn.get(id) === json) return;
  drawn.set(id, json);
  $(id).replaceChildren(...nodes());
}

function accountItem(known) {
  const button = element('button', { type: 'button', 'aria-current': known.user_id === chosen ? 'true' : null },
    element('span', { text: known.name }),
    element('span', { text: `+${known.phone} · data centre ${known.dc} · id ${known.user_id}` }));
  button.addEventListener('click', () => {
    chosen = known.user_id;
    history.replaceState(null, '', `#${chosen}`);
    refresh();
  });
  return element('li', {}, button);
}

function device(session) {
  const name = session.client.device_model || 'Unknown device';
  const version = session.client.app_version && `version ${session.client.app_version}`;
  const state = session.connected ? 'connected' : 'not connected';
  const when = new Date(session.active * 1000).toLocaleString();
  const end = element('button', { type: 'button', text: 'End', 'aria-label': `End ${name}` });
  end.addEventListener('click', () => change(() => call('DELETE', account('/sessions'), { hash: session.hash })));
  return element('li', {},
    element('span', { text: [name, version].filter(Boolean).join(', ') }),
    element('span', { text: `${state} · ${session.ip} · ${when}` }), end);
}

async function show(known) {
  $('phone').hidden = !known;
  if (!known) return;
  $('title').textContent = known.name;
  $('note').textContent = `+${known.phone} · data centre ${known.dc}${known.username ? ` · @${known.username}` : ''}`;
  $('code').value = known.last_code ?? '';
  const hint = known.hint ? `, hint “${known.hint}”` : '';
  $('password-state').textContent = known.has_password ? `A password is set${hint}.` : 'No password.';
  $('remove-password').disabled = !known.has_password;
  for (const name of ['spam_limited', 'banned']) $(name).checked = known[name];
  const sessions = await call('GET', account('/sessions'));
  draw('devices', [chosen, sessions], () =>
    sessions.length ? sessions.map(device) : [element('li', { text: 'Nobody is signed in.' })]);
}

async function refresh() {
  await attempt(async () => {
    const [accounts, people, dcs] = await Promise.all(
      ['/mtproto/accounts', '/users', '/mtproto/dcs'].map((path) => call('GET', path)));
    chosen ??= accounts[0]?.user_id ?? null;
    draw('accounts', [chosen, accounts], () => accounts.map(accountItem));
    const option = (value, text) => element('option', { value, text, selected: value === '2' ? '' : null });
    const dcSelect = document.querySelector('#create select');
    if (!dcSelect.length) dcSelect.append(...Object.keys(dcs).map((dc) => option(dc, dc)));
    const others = people.filter((person) => person.id !== chosen);
    const from = document.querySelector('#receive select');
    if (drawn.get('from') !== JSON.stringify(others)) {
      drawn.set('from', JSON.stringify(others));
      const name = (person) => [person.first_name, person.last_name].filter(Boolean).join(' ');
      from.replaceChildren(...others.map((person) => option(person.id, `${name(person)} (${person.id})`)));
    }
    await show(accounts.find((known) => known.user_id === chosen));
  }, false);
}

async function attempt(action, clear = true) {
  try {
    await action();
    if (clear) $('refusal').textContent = '';
  } catch (error) {
    $('refusal').textContent = error.message;
  }
}

async function change(action) {
  await attempt(action);
  await refresh();
}

function onSubmit(id, action) {
  $(id).addEventListener('submit', async (event) => {
    event.preventDefault();
    const form = event.target;
    await change(async () => {
      await action(Object.fromEntries(new FormData(form)));
      form.reset();
    });
  });
}

onSubmit('create', async ({ phone, first_name, dc }) => {
  const created = await call('POST', '/mtproto/accounts', { phone, first_name, dc: Number(dc) });
  chosen = created.user_id;
});
onSubmit('scan', ({ link }) => call('POST', account('/scan'), link ? { link } : {}));
onSubmit('password', (form) => call('PUT', account('/password'), form));
onSubmit('receive', ({ from, text }) =>
  call('POST', '/mtproto/messages', { from: Number(from), chat_id: chosen, text }));
$('remove-password').addEventListener('click', () => change(() => call('DELETE', account('/password'))));
for (const name of ['spam_limited', 'banned']) {
  $(name).addEventListener('change', (event) =>
    change(() => call('PATCH', account(), { [name]: event.target.checked })));
}

refresh();
setInterval(() => document.hidden || refresh(), 1000);
