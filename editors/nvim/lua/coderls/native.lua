-- Neovim's own ghost text (0.12), with what it leaves out: words and lines, dismissing, alternatives, an end for
-- requests that a newer one supersedes, and a look at whether the text still fits before it is taken.
local client_of = require('coderls.client')
local texts = require('coderls.text')

local api = vim.api
local M = {}

local METHOD = 'textDocument/inlineCompletion'
local INVOKED, CANCELLED = 1, -32800
local latest = {} ---@type table<integer, integer> buffer -> id of its request
local by_key = {} ---@type table<integer, integer> buffer -> a key asked: so many alternatives on

local function inline()
  return vim.lsp.inline_completion
end

-- Neovim sends a request after each pause in typing and lets the earlier ones run. For our client: end them, and say
-- which are asked for by a key.
local function supersede(client)
  if client.coderls_supersedes then
    return
  end
  client.coderls_supersedes = true
  local request = client.request
  client.request = function(self, method, params, handler, bufnr)
    if method ~= METHOD or handler == nil then
      return request(self, method, params, handler, bufnr)
    end
    if latest[bufnr] ~= nil then
      client:cancel_request(latest[bufnr])
    end
    local steps = by_key[bufnr]
    by_key[bufnr] = nil
    if steps ~= nil then
      params.context.triggerKind = INVOKED
    end
    local this
    local sent, id = request(self, method, params, function(err, ...)
      if latest[bufnr] == this then
        latest[bufnr] = nil
      end
      if err ~= nil and err.code == CANCELLED then
        return -- no fault: Neovim would log it as one
      end
      handler(err, ...)
      if steps ~= nil and steps ~= 0 then
        inline().select({ bufnr = bufnr, count = steps })
      end
    end, bufnr)
    this = id
    latest[bufnr] = id
    return sent, id
  end
end

-- Neovim has no call that asks: it asks after the cursor has moved.
local function nudge(bufnr)
  if api.nvim_get_current_buf() == bufnr and api.nvim_get_mode().mode:sub(1, 1) == 'i' then
    api.nvim_exec_autocmds('CursorMovedI', { buffer = bufnr, modeline = false })
  end
end

--- Begin in a buffer.
function M.attach(bufnr)
  local client = client_of.of(bufnr)
  if client ~= nil then
    supersede(client)
  end
  inline().enable(true, { bufnr = bufnr })
  nudge(bufnr)
end

--- End in a buffer.
function M.detach(bufnr)
  latest[bufnr], by_key[bufnr] = nil, nil
  if api.nvim_buf_is_valid(bufnr) then
    inline().enable(false, { bufnr = bufnr })
  end
end

--- The server may have an answer now that it had not before: it is ready, or not paused any more.
function M.again(bufnr)
  if not M.visible(bufnr) then
    nudge(bufnr)
  end
end

--- Ask now, as by a key: also where automatic answers stay away.
function M.ask(bufnr)
  by_key[bufnr] = 0
  nudge(bufnr)
  return true
end

--- Whether ghost text is to be seen in a buffer.
function M.visible(bufnr)
  local namespace = api.nvim_get_namespaces()['nvim.lsp.inline_completion']
  return namespace ~= nil and #api.nvim_buf_get_extmarks(bufnr, namespace, 0, -1, { limit = 1 }) > 0
end

-- Text from the beginning of an item's range to the cursor, where the item still fits it; nil otherwise.
local function typed_of(bufnr, item, text)
  local row, col = unpack(api.nvim_win_get_cursor(0))
  if item.range == nil then
    return ''
  end
  local first_row, first_col = item.range:to_extmark()
  if first_row > row - 1 or (first_row == row - 1 and first_col > col) then
    return nil
  end
  local typed = table.concat(api.nvim_buf_get_text(bufnr, first_row, first_col, row - 1, col, {}), '\n')
  return vim.startswith(text, typed) and typed or nil
end

local function insert(piece)
  local row, col = unpack(api.nvim_win_get_cursor(0))
  local lines = vim.split(piece, '\n', { plain = true })
  api.nvim_buf_set_text(0, row - 1, col, row - 1, col, lines)
  api.nvim_win_set_cursor(0, { row - 1 + #lines, (#lines == 1 and col or 0) + #lines[#lines] })
end

--- Take all of the ghost text, its next word, or its line. False where there is none.
---@param what? 'word'|'line'
function M.accept(bufnr, what)
  if not M.visible(bufnr) then
    return false
  end
  return inline().get({
    bufnr = bufnr,
    on_accept = function(item)
      local text = texts.of_item({ insertText = item.insert_text })
      if text == nil then
        return item -- a snippet of another server
      end
      local typed = typed_of(bufnr, item, text)
      if typed == nil or #typed >= #text then
        return nil -- the text is another by now
      end
      vim.cmd('let &g:undolevels = &g:undolevels') -- what was typed before is undone by itself
      local rest = text:sub(#typed + 1)
      local piece = what == 'word' and texts.first_word(rest) or what == 'line' and texts.first_line(rest) or rest
      if piece ~= rest then
        insert(piece)
        return nil
      end
      if typed == '' or item.range == nil then
        item.insert_text = text
        return item
      end
      M.replace(bufnr, item, rest)
      return nil
    end,
  })
end

-- The range of an item that was typed through is where it was when the item came: put in the rest, and take away what
-- the range had after the cursor, which still stands there. Ranges of coderls begin at the cursor.
function M.replace(bufnr, item, rest)
  local _, first_col, _, last_col = item.range:to_extmark()
  insert(rest)
  local row, col = unpack(api.nvim_win_get_cursor(0))
  local gone = math.min(last_col - first_col, #api.nvim_get_current_line() - col)
  api.nvim_buf_set_text(bufnr, row - 1, col, row - 1, col + gone, { '' })
  if item.command ~= nil then
    client_of.execute(bufnr, item.command.command, item.command.arguments or {})
  end
end

--- Show the next alternative, or the one before (`step` -1).
function M.step(bufnr, step)
  if not M.visible(bufnr) then
    return false
  end
  local namespace = api.nvim_get_namespaces()['nvim.lsp.inline_completion']
  local before = api.nvim_buf_get_extmarks(bufnr, namespace, 0, -1, { details = true })
  inline().select({ bufnr = bufnr, count = step })
  local after = api.nvim_buf_get_extmarks(bufnr, namespace, 0, -1, { details = true })
  if texts.drawn(before) == texts.drawn(after) then -- an automatic answer is one text: ask for the others
    by_key[bufnr] = step
    nudge(bufnr)
  end
  return true
end

--- Take the ghost text away, and tell the server that it was not wanted.
function M.dismiss(bufnr)
  if not M.visible(bufnr) then
    return false
  end
  return inline().get({
    bufnr = bufnr,
    on_accept = function(item)
      local client = vim.lsp.get_client_by_id(item.client_id)
      local command = item.command
      if client ~= nil and client.name == 'coderls' and command ~= nil and command.arguments ~= nil then
        client_of.execute(bufnr, 'coderls.rejected', { command.arguments[1] })
      end
      return nil
    end,
  })
end

return M
