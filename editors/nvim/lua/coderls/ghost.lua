-- Ghost text of the plugin's own, drawn with extmarks: on Neovim 0.11, and where the user prefers it.
--
-- A buffer has one request at most; a newer one cancels it. What was answered stays while the user types it: the rest
-- is drawn again, and the server is not asked.
local client_of = require('coderls.client')
local config = require('coderls.config')
local texts = require('coderls.text')

local api = vim.api
local M = {}

local METHOD = 'textDocument/inlineCompletion'
local INVOKED, AUTOMATIC = 1, 2
local namespace = api.nvim_create_namespace('coderls')

---@class coderls.Item
---@field text string from the cursor of the request on
---@field replaced string text after the cursor that goes when all of `text` is taken
---@field command? lsp.Command

---@class coderls.State
---@field items? coderls.Item[] what was answered, and still fits
---@field index integer the one that is shown
---@field anchor? integer extmark at the cursor of the request
---@field request? { id?: integer, client: vim.lsp.Client }
---@field seen string change and cursor that were looked at last
---@field asked_for? boolean the items are those of a key: all alternatives are here
local states = {} ---@type table<integer, coderls.State>

local function cursor()
  local row, col = unpack(api.nvim_win_get_cursor(0))
  return row - 1, col
end

local function place(bufnr)
  local row, col = cursor()
  return ('%d:%d:%d'):format(api.nvim_buf_get_changedtick(bufnr), row, col)
end

local function is_inserting(bufnr)
  return api.nvim_get_current_buf() == bufnr and api.nvim_get_mode().mode:sub(1, 1) == 'i'
end

local function cancel(state)
  local request = state.request
  state.request = nil
  if request ~= nil and request.id ~= nil then
    request.client:cancel_request(request.id)
  end
end

local function forget(bufnr, state)
  api.nvim_buf_clear_namespace(bufnr, namespace, 0, -1)
  state.items, state.anchor, state.index, state.asked_for = nil, nil, 1, nil
end

-- What is left of an item at the cursor; nil where the text is another by now.
local function rest_of(item, typed, after)
  if vim.startswith(item.text, typed) and vim.startswith(after, item.replaced) and #item.text > #typed then
    return item.text:sub(#typed + 1)
  end
end

-- Text from the anchor to the cursor, and from the cursor to the end of its line; nil where the cursor is before it.
local function around(bufnr, state)
  local anchor = state.anchor and api.nvim_buf_get_extmark_by_id(bufnr, namespace, state.anchor, {})
  if anchor == nil or anchor[1] == nil then
    return nil
  end
  local row, col = cursor()
  if row < anchor[1] or (row == anchor[1] and col < anchor[2]) then
    return nil
  end
  local typed = api.nvim_buf_get_text(bufnr, anchor[1], anchor[2], row, col, {})
  local line = api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ''
  return table.concat(typed, '\n'), line:sub(col + 1)
end

-- Keep the items that still fit what was typed; the rest of the one to show, or nil.
local function narrow(bufnr, state)
  local typed, after = around(bufnr, state)
  if typed == nil then
    return nil
  end
  local shown = state.items[state.index]
  local fitting = vim.tbl_filter(function(item)
    return rest_of(item, typed, after) ~= nil
  end, state.items)
  if #fitting == 0 then
    return nil
  end
  state.items = fitting
  state.index = 1
  for index, item in ipairs(fitting) do
    if item == shown then
      state.index = index
    end
  end
  local item = state.items[state.index]
  return rest_of(item, typed, after), item, after
end

-- The first line of the ghost text: between the text, or over what it replaces or pushes to a later line.
local function first_chunk(first, several, item, after)
  if several then
    local missing = vim.fn.strdisplaywidth(after) - vim.fn.strdisplaywidth(first)
    return first .. (' '):rep(math.max(0, missing)), after ~= '' and 'overlay' or 'inline'
  end
  if item.replaced ~= '' then
    if vim.endswith(first, item.replaced) then
      return first:sub(1, #first - #item.replaced), 'inline'
    end
    local missing = vim.fn.strdisplaywidth(item.replaced) - vim.fn.strdisplaywidth(first)
    return first .. (' '):rep(math.max(0, missing)), 'overlay'
  end
  return first, 'inline'
end

local function draw(bufnr, state, rest, item, after)
  local row, col = cursor()
  local lines = vim.split(rest, '\n', { plain = true })
  local tabstop = vim.bo[bufnr].tabstop
  local column = vim.fn.strdisplaywidth(api.nvim_get_current_line():sub(1, col))
  lines[1] = texts.expand_tabs(lines[1], column, tabstop)
  local first, position = first_chunk(lines[1], #lines > 1, item, after)
  local below = {}
  for number = 2, #lines do
    below[number - 1] = { { texts.expand_tabs(lines[number], 0, tabstop), 'CoderlsGhost' } }
  end
  if #below > 0 and #after > #item.replaced then -- what stands after the cursor comes after the last line
    table.insert(below[#below], { after:sub(#item.replaced + 1) })
  end
  local above = { { first, 'CoderlsGhost' } }
  if #state.items > 1 then
    local count = { (' (%d/%d)'):format(state.index, #state.items), 'CoderlsCount' }
    table.insert(#below > 0 and below[#below] or (after == '' and above or {}), count)
  end
  state.mark = api.nvim_buf_set_extmark(bufnr, namespace, row, col, {
    id = state.mark,
    virt_text = above,
    virt_text_pos = position,
    virt_lines = #below > 0 and below or nil,
    hl_mode = 'combine',
  })
end

-- Draw what is left at the cursor. False, and nothing is shown, where nothing is.
local function refresh(bufnr, state)
  local rest, item, after
  if state.items ~= nil and is_inserting(bufnr) then
    rest, item, after = narrow(bufnr, state)
  end
  if rest == nil then
    forget(bufnr, state)
    return false
  end
  draw(bufnr, state, rest, item, after)
  return true
end

-- An item of the answer, from the cursor on; nil where it does not begin with what stands before the cursor.
local function to_item(item, client, row, col, line)
  local text = texts.of_item(item)
  if text == nil then
    return nil
  end
  local first, last = col, col
  if item.range ~= nil then
    local encoding = client.offset_encoding
    if item.range.start.line ~= row or item.range['end'].line ~= row then
      return nil
    end
    first = vim.str_byteindex(line, encoding, item.range.start.character, false)
    last = vim.str_byteindex(line, encoding, item.range['end'].character, false)
  end
  local before = line:sub(first + 1, col)
  if first > col or last < col or not vim.startswith(text, before) then
    return nil
  end
  return { text = text:sub(#before + 1), replaced = line:sub(col + 1, last), command = item.command }
end

local function answered(bufnr, state, client, result, kind, index)
  local row, col = cursor()
  local line = api.nvim_get_current_line()
  local items = {}
  for _, raw in ipairs(result.items or result) do
    local item = to_item(raw, client, row, col, line)
    if item ~= nil and item.text ~= '' then
      table.insert(items, item)
    end
  end
  forget(bufnr, state)
  state.mark = nil
  if #items == 0 then
    return
  end
  state.items, state.index, state.asked_for = items, (index - 1) % #items + 1, kind == INVOKED
  state.anchor = api.nvim_buf_set_extmark(bufnr, namespace, row, col, { right_gravity = false })
  refresh(bufnr, state)
end

-- Ask for the place of the cursor. `index`: which of the answers is shown.
local function ask(bufnr, kind, index)
  local state, client = states[bufnr], client_of.of(bufnr)
  if state == nil or client == nil or not client:supports_method(METHOD, bufnr) then
    return
  end
  cancel(state)
  local asked_at = place(bufnr)
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = kind }
  local request = { client = client }
  state.request = request
  local _, id = client:request(METHOD, params, function(err, result)
    if state.request ~= request then
      return -- a newer one was sent
    end
    state.request = nil
    if err == nil and result ~= nil and is_inserting(bufnr) and place(bufnr) == asked_at then
      answered(bufnr, state, client, result, kind, index or 1)
    end
  end, bufnr)
  request.id = id
end

local function menu_is_open()
  return vim.fn.pumvisible() == 1 and not config.options.with_popup
end

-- The text or the cursor may be another one.
local function changed(bufnr)
  local state = states[bufnr]
  if state == nil or not is_inserting(bufnr) then
    return
  end
  if menu_is_open() then
    cancel(state)
    forget(bufnr, state)
    state.seen = ''
    return
  end
  local here = place(bufnr)
  if here == state.seen then
    return
  end
  state.seen = here
  if state.items ~= nil and refresh(bufnr, state) then
    cancel(state)
    return
  end
  ask(bufnr, AUTOMATIC)
end

--- Begin in a buffer that coderls is attached to.
function M.attach(bufnr)
  if states[bufnr] ~= nil then
    return
  end
  states[bufnr] = { index = 1, seen = '' }
  local group = api.nvim_create_augroup('coderls.ghost.' .. bufnr, {})
  local function on(events, callback)
    api.nvim_create_autocmd(events, { group = group, buffer = bufnr, callback = callback })
  end
  on({ 'InsertEnter', 'TextChangedI', 'TextChangedP', 'CursorMovedI', 'CompleteDone' }, function()
    if vim.v.vim_did_enter == 1 then
      vim.schedule(function() -- at InsertEnter the mode is not that of insertion yet
        changed(bufnr)
      end)
    end
  end)
  on({ 'InsertLeave', 'BufLeave' }, function()
    M.clear(bufnr)
  end)
  changed(bufnr)
end

--- End in a buffer, and take away what is shown.
function M.detach(bufnr)
  if states[bufnr] == nil then
    return
  end
  if api.nvim_buf_is_valid(bufnr) then
    M.clear(bufnr)
  end
  pcall(api.nvim_del_augroup_by_name, 'coderls.ghost.' .. bufnr)
  states[bufnr] = nil
end

--- Take away what is shown, and do not wait for an answer.
function M.clear(bufnr)
  local state = states[bufnr]
  if state ~= nil then
    cancel(state)
    forget(bufnr, state)
    state.seen = ''
  end
end

--- The server may have an answer now that it had not before: it is ready, or not paused any more.
function M.again(bufnr)
  local state = states[bufnr]
  if state ~= nil and state.items == nil and state.request == nil then
    state.seen = ''
    changed(bufnr)
  end
end

--- Whether ghost text is to be seen in a buffer.
function M.visible(bufnr)
  local state = states[bufnr]
  return state ~= nil and state.items ~= nil
end

--- Take all of the ghost text, its next word, or its line. False where there is none.
---@param what? 'word'|'line'
function M.accept(bufnr, what)
  local state = states[bufnr]
  if state == nil or state.items == nil or not is_inserting(bufnr) then
    return false
  end
  local rest, item = narrow(bufnr, state)
  if rest == nil then
    forget(bufnr, state)
    return false
  end
  local piece = what == 'word' and texts.first_word(rest) or what == 'line' and texts.first_line(rest) or rest
  local whole = piece == rest
  local row, col = cursor()
  vim.cmd('let &g:undolevels = &g:undolevels') -- what was typed before is undone by itself
  local lines = vim.split(piece, '\n', { plain = true })
  api.nvim_buf_set_text(bufnr, row, col, row, col + (whole and #item.replaced or 0), lines)
  api.nvim_win_set_cursor(0, { row + #lines, (#lines == 1 and col or 0) + #lines[#lines] })
  state.seen = place(bufnr)
  if not whole then
    refresh(bufnr, state)
    return true
  end
  forget(bufnr, state)
  if item.command ~= nil then
    client_of.execute(bufnr, item.command.command, item.command.arguments or {})
  end
  ask(bufnr, AUTOMATIC)
  return true
end

--- Show the next alternative, or the one before (`step` -1). Automatic answers have one; the others are asked for now.
function M.step(bufnr, step)
  local state = states[bufnr]
  if state == nil or state.items == nil then
    return false
  end
  if #state.items == 1 and not state.asked_for then
    ask(bufnr, INVOKED, 1 + step)
  else
    state.index = (state.index - 1 + step) % #state.items + 1
    refresh(bufnr, state)
  end
  return true
end

--- Take the ghost text away, and tell the server that it was not wanted.
function M.dismiss(bufnr)
  local state = states[bufnr]
  if state == nil or state.items == nil then
    return false
  end
  local command = state.items[state.index].command
  cancel(state)
  forget(bufnr, state)
  if command ~= nil and command.arguments ~= nil then
    client_of.execute(bufnr, 'coderls.rejected', { command.arguments[1] })
  end
  return true
end

--- Ask now, as by a key: also where automatic answers stay away.
function M.ask(bufnr)
  if states[bufnr] == nil or not is_inserting(bufnr) then
    return false
  end
  ask(bufnr, INVOKED)
  return true
end

return M
