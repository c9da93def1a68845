-- The edit that follows from the last ones in a buffer: shown in its place, gone to and taken, or dismissed.
local client_of = require('coderls.client')
local config = require('coderls.config')

local api = vim.api
local M = {}

local METHOD = 'coderls/nextEdit'
local REST_MS = 120
local namespace = api.nvim_create_namespace('coderls.next_edit')
local offered = {} ---@type table<integer, table> buffer -> { edit, tick, encoding }
local asked = {} ---@type table<integer, integer> buffer -> id of its request
local since = {} ---@type table<integer, integer> buffer -> its changedtick when it was attached
local timer = nil ---@type uv.uv_timer_t?

local function group_of(bufnr)
  return ('coderls.next_edit.%d'):format(bufnr)
end

-- The client, where its server knows next edits.
local function able(bufnr)
  local client = client_of.of(bufnr)
  local experimental = client and client.server_capabilities and client.server_capabilities.experimental
  return type(experimental) == 'table' and experimental.coderlsNextEdit == true and client or nil
end

local function is_typing()
  return vim.list_contains({ 'i', 'R' }, api.nvim_get_mode().mode:sub(1, 1))
end

local function clear(bufnr)
  if offered[bufnr] ~= nil then
    offered[bufnr] = nil
    if api.nvim_buf_is_valid(bufnr) then
      api.nvim_buf_clear_namespace(bufnr, namespace, 0, -1)
    end
  end
end

-- What is offered and still fits the text.
local function current(bufnr)
  local now = offered[bufnr]
  if now ~= nil and now.tick ~= api.nvim_buf_get_changedtick(bufnr) then
    clear(bufnr)
    return nil
  end
  return now
end

-- Row and column (bytes, from 0) of an LSP position.
local function place_of(bufnr, position, encoding)
  local row = math.min(position.line, api.nvim_buf_line_count(bufnr) - 1)
  local line = api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ''
  if position.line > row then
    return row, #line
  end
  return row, vim.str_byteindex(line, encoding, position.character, false)
end

local function reason_of(edit)
  return edit.more > 0 and ('%s (%d more)'):format(edit.reason, edit.more) or edit.reason
end

local function draw(bufnr)
  local now = current(bufnr)
  if now == nil then
    return
  end
  local edit = now.edit
  local row, col = place_of(bufnr, edit.range.start, now.encoding)
  local end_row, end_col = place_of(bufnr, edit.range['end'], now.encoding)
  api.nvim_buf_clear_namespace(bufnr, namespace, 0, -1)
  if row ~= end_row or col ~= end_col then
    local gone = { end_row = end_row, end_col = end_col, hl_group = 'CoderlsGone', priority = 200 }
    api.nvim_buf_set_extmark(bufnr, namespace, row, col, gone)
  end
  local lines = vim.split(edit.newText:gsub('\r\n?', '\n'):gsub('\n$', ''), '\n', { plain = true })
  local mark = { virt_text = { { lines[1], 'CoderlsGhost' } }, virt_text_pos = 'inline' }
  if #lines > 1 then
    mark.virt_lines = vim.tbl_map(function(line)
      return { { line, 'CoderlsGhost' } }
    end, vim.list_slice(lines, 2))
  end
  if edit.newText ~= '' then
    local at_end = end_col == 0 and end_row > row -- whole lines: the new ones stand where the old ones end
    local text = api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ''
    api.nvim_buf_set_extmark(bufnr, namespace, at_end and row or end_row, at_end and #text or end_col, mark)
  end
  if api.nvim_get_current_buf() == bufnr and (row + 1 < vim.fn.line('w0') or row + 1 > vim.fn.line('w$')) then
    local cursor = api.nvim_win_get_cursor(0)[1] - 1
    local words = ('  %s line %d: %s'):format(row < cursor and '↑' or '↓', row + 1, reason_of(edit))
    local hint = { virt_text = { { words, 'CoderlsCount' } }, virt_text_pos = 'eol' }
    api.nvim_buf_set_extmark(bufnr, namespace, cursor, 0, hint)
  end
end

local function is_edit(value)
  if type(value) ~= 'table' or type(value.range) ~= 'table' then
    return false
  end
  if type(value.reason) ~= 'string' or type(value.more) ~= 'number' then
    return false
  end
  return type(value.newText) == 'string' and type(value.id) == 'number'
end

-- Ask the server for the edit of the cursor in the current window.
local function ask(bufnr, typing)
  local client = able(bufnr)
  if client == nil or not config.options.next_edit or api.nvim_get_current_buf() ~= bufnr then
    return clear(bufnr)
  end
  if asked[bufnr] ~= nil then
    client:cancel_request(asked[bufnr])
  end
  local tick, encoding = api.nvim_buf_get_changedtick(bufnr), client.offset_encoding
  local this
  local params = {
    textDocument = { uri = vim.uri_from_bufnr(bufnr), version = vim.lsp.util.buf_versions[bufnr] },
    position = vim.lsp.util.make_position_params(0, encoding).position,
    typing = typing,
  }
  local _, id = client:request(METHOD, params, function(err, edit)
    if asked[bufnr] == this then
      asked[bufnr] = nil
    end
    if err ~= nil or not api.nvim_buf_is_valid(bufnr) or api.nvim_buf_get_changedtick(bufnr) ~= tick then
      return
    end
    clear(bufnr)
    if is_edit(edit) then
      offered[bufnr] = { edit = edit, tick = tick, encoding = encoding }
      draw(bufnr)
    end
  end, bufnr)
  this = id
  asked[bufnr] = id
end

local function later(bufnr)
  if timer ~= nil then
    timer:stop()
  end
  if since[bufnr] == nil or since[bufnr] == api.nvim_buf_get_changedtick(bufnr) then
    return -- nothing was changed: nothing follows
  end
  timer = timer or assert(vim.uv.new_timer())
  timer:start(
    REST_MS,
    0,
    vim.schedule_wrap(function()
      if api.nvim_buf_is_valid(bufnr) and since[bufnr] ~= nil then
        ask(bufnr, is_typing())
      end
    end)
  )
end

--- Begin in a buffer.
function M.attach(bufnr)
  M.detach(bufnr)
  since[bufnr] = api.nvim_buf_get_changedtick(bufnr)
  local group = api.nvim_create_augroup(group_of(bufnr), {})
  local events = { 'CursorMoved', 'CursorMovedI', 'TextChanged', 'TextChangedI', 'InsertLeave', 'BufEnter' }
  api.nvim_create_autocmd(events, {
    group = group,
    buffer = bufnr,
    callback = function()
      draw(bufnr) -- takes it away where the text is another by now
      later(bufnr)
    end,
  })
  api.nvim_create_autocmd('BufLeave', {
    group = group,
    buffer = bufnr,
    callback = function()
      clear(bufnr)
    end,
  })
end

--- End in a buffer.
function M.detach(bufnr)
  clear(bufnr)
  since[bufnr], asked[bufnr] = nil, nil
  pcall(api.nvim_del_augroup_by_name, group_of(bufnr))
end

--- The server has found something that no key brought about.
function M.found(uri)
  local bufnr = api.nvim_get_current_buf()
  if vim.uri_from_bufnr(bufnr) == uri then
    later(bufnr)
  end
end

--- What is offered in a buffer, as the server says it; nil where there is nothing.
function M.of(bufnr)
  local now = current(bufnr)
  return now and now.edit
end

--- Go to the edit; where the cursor is at it, take it. False where there is none.
function M.next(bufnr)
  local now = current(bufnr)
  if now == nil then
    return false
  end
  local edit = now.edit
  local row, col = place_of(bufnr, edit.range.start, now.encoding)
  local end_row, end_col = place_of(bufnr, edit.range['end'], now.encoding)
  local line, at = unpack(api.nvim_win_get_cursor(0))
  local first = is_typing() and col or math.min(col, M.last_column(bufnr, row))
  local before = line - 1 < row or (line - 1 == row and at < first)
  local after = line - 1 > end_row or (line - 1 == end_row and at > end_col)
  if before or after then
    vim.cmd("normal! m'")
    api.nvim_win_set_cursor(0, { row + 1, col })
    draw(bufnr)
    return true
  end
  clear(bufnr)
  vim.lsp.util.apply_text_edits({ { range = edit.range, newText = edit.newText } }, bufnr, now.encoding)
  ask(bufnr, false)
  return true
end

--- The last column that the cursor can have in a row outside of insertion.
function M.last_column(bufnr, row)
  local line = api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ''
  return math.max(0, #line - 1)
end

--- Take it away. The same is not offered again for a while. False where there is none.
function M.dismiss(bufnr)
  local now = current(bufnr)
  if now == nil then
    return false
  end
  clear(bufnr)
  client_of.execute(bufnr, 'coderls.rejected', { now.edit.id })
  return true
end

return M
