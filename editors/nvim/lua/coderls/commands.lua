-- `:Coderls NAME`: each a function of the arguments that Neovim hands to a command.
local client_of = require('coderls.client')
local status_of = require('coderls.status')

local api = vim.api
local M = {}

local function say(text, level)
  vim.notify('coderls: ' .. text, level or vim.log.levels.INFO)
end

local function not_attached()
  local why = api.nvim_buf_get_name(0) == '' and 'It has no file name yet; write it first.'
    or ':checkhealth coderls says more.'
  say('it is not attached to this buffer. ' .. why, vim.log.levels.WARN)
end

-- A window with lines that are only to be read.
local function show(title, lines, filetype)
  vim.cmd('botright new')
  local bufnr = api.nvim_get_current_buf()
  vim.bo[bufnr].buftype, vim.bo[bufnr].bufhidden, vim.bo[bufnr].swapfile = 'nofile', 'wipe', false
  api.nvim_buf_set_name(bufnr, ('coderls://%s/%d'):format(title, bufnr))
  api.nvim_buf_set_lines(bufnr, 0, -1, false, lines)
  vim.bo[bufnr].modifiable, vim.bo[bufnr].filetype = false, filetype or ''
  vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = bufnr, desc = 'close' })
  api.nvim_win_set_height(0, math.min(#lines, math.floor(vim.o.lines / 2)))
  return bufnr
end

local function a_status()
  local status = status_of.of(api.nvim_get_current_buf())
  if status == nil then
    return not_attached()
  end
  local model = (status.model or '') ~= '' and not status.text:find(status.model, 1, true)
  local words = { status.text .. (model and (' (%s on %s)'):format(status.model, status.device or '?') or '') }
  table.insert(words, (status.detail or '') ~= '' and status.detail or nil)
  say(table.concat(words, '. '))
end

local function pause(arguments)
  local wanted = ({ on = true, off = false })[arguments[1] or '']
  say(status_of.pause(wanted) and 'paused. :Coderls pause goes on.' or 'completions come by themselves again.')
end

-- The prompt's parts as lines: kind, place, tokens.
local function part_lines(parts)
  return vim.tbl_map(function(part)
    local place = part.path ~= '' and ('%s:%d-%d'):format(part.path, part.first_line, part.last_line) or ''
    return ('  %-10s %-50s %d tokens'):format(part.kind, place, part.tokens)
  end, parts)
end

local function explain()
  local uri = vim.uri_from_bufnr(0)
  local asked = client_of.execute(0, 'coderls.explain', { uri }, function(made)
    if type(made) ~= 'table' then
      return say('there was no completion in this buffer yet.')
    end
    local lines = { 'The last completion in this buffer was made from, in the order of the prompt:' }
    vim.list_extend(lines, part_lines(made.prompt or {}))
    local tokens, ms = made.tokens or {}, {}
    for name, value in vim.spairs(made.timings_ms or {}) do
      table.insert(ms, ('%s %.0f'):format(name, value))
    end
    local counts = 'tokens: %s in the prompt, %s of them known before, %s new'
    table.insert(lines, counts:format(tokens.prompt, tokens.cached, tokens.completion))
    table.insert(lines, 'milliseconds: ' .. table.concat(ms, ', '))
    show('explain', lines)
  end)
  if not asked then
    not_attached()
  end
end

local function doctor()
  local command = client_of.command()
  if command == nil or vim.fn.executable(command[1]) == 0 then
    local name = command and command[1] or 'coderls'
    return say(('there is no command %s. :checkhealth coderls says more.'):format(name), vim.log.levels.ERROR)
  end
  local words = vim.list_extend(vim.deepcopy(command), { 'doctor' })
  local bufnr = show('doctor', { 'coderls doctor is looking …' })
  vim.system(words, { text = true, stdin = false }, function(done)
    vim.schedule(function()
      if api.nvim_buf_is_valid(bufnr) then
        local lines = vim.split(vim.trim((done.stdout or '') .. (done.stderr or '')), '\n')
        vim.bo[bufnr].modifiable = true
        api.nvim_buf_set_lines(bufnr, 0, -1, false, lines)
        vim.bo[bufnr].modifiable = false
      end
    end)
  end)
end

local function log()
  local status = status_of.of(api.nvim_get_current_buf())
  local engine = status ~= nil and status.log or nil
  local path = vim.lsp.log.get_filename and vim.lsp.log.get_filename() or vim.lsp.get_log_path()
  for _, name in ipairs({ path, engine or '' }) do
    if name ~= '' and vim.fn.filereadable(name) == 1 then
      vim.cmd('botright split ' .. vim.fn.fnameescape(name))
      vim.bo.readonly = true
      vim.cmd('normal! G')
    end
  end
end

local function rewrite(arguments, args)
  local instruction = table.concat(arguments, ' ')
  local bufnr = api.nvim_get_current_buf()
  local client = client_of.of(bufnr)
  if client == nil then
    return not_attached()
  end
  if not client_of.knows(client, 'coderls.rewrite') then
    return say('this server cannot rewrite; a newer coderls can.', vim.log.levels.WARN)
  end
  local first, last = args.line1, args.line2
  if args.range == 0 then
    first, last = vim.fn.line('.'), vim.fn.line('.')
  end
  local encoding = client.offset_encoding
  local line = api.nvim_buf_get_lines(bufnr, last - 1, last, false)[1] or ''
  local range = {
    start = { line = first - 1, character = 0 },
    ['end'] = { line = last - 1, character = vim.str_utfindex(line, encoding, #line, false) },
  }
  M.rewrite(bufnr, { uri = vim.uri_from_bufnr(bufnr), range = range }, instruction)
end

--- Rewrite a part of a document (`target`: uri and range). Without an instruction the user is asked for one.
---@param bufnr integer
---@param target table
---@param instruction? string
function M.rewrite(bufnr, target, instruction)
  if instruction == nil or instruction == '' then
    return vim.ui.input({ prompt = 'Rewrite so that: ' }, function(words)
      if words ~= nil and words ~= '' then
        M.rewrite(bufnr, target, words)
      end
    end)
  end
  client_of.execute(bufnr, 'coderls.rewrite', { target, instruction })
end

local function next_edit(arguments)
  local coderls = require('coderls')
  local did = arguments[1] == 'dismiss' and coderls.dismiss_next_edit or coderls.next_edit
  if not did() then
    say('there is no next edit in this buffer.')
  end
end

local COMMANDS = {
  next = next_edit,
  status = a_status,
  pause = pause,
  explain = explain,
  doctor = doctor,
  log = log,
  rewrite = rewrite,
  restart = client_of.restart,
}

--- Run `:Coderls …`.
function M.run(args)
  local words = vim.list_slice(args.fargs)
  local name = table.remove(words, 1) or 'status'
  if COMMANDS[name] == nil then
    return say(
      ('there is no :Coderls %s. There is: %s'):format(name, table.concat(M.names(), ', ')),
      vim.log.levels.ERROR
    )
  end
  COMMANDS[name](words, args)
end

--- Names of all commands.
function M.names()
  local names = vim.tbl_keys(COMMANDS)
  table.sort(names)
  return names
end

--- Completion of `:Coderls …`.
function M.complete(lead, line)
  if line:match('^%S*Coderls!?%s+%S*$') then
    return vim.tbl_filter(function(name)
      return vim.startswith(name, lead)
    end, M.names())
  end
  return line:match('%spause%s') and { 'on', 'off' } or line:match('%snext%s') and { 'dismiss' } or {}
end

return M
