-- Pure functions on the text of completions.
local M = {}

--- The text of an item of `textDocument/inlineCompletion`, with Neovim's line ends; nil for a snippet.
function M.of_item(item)
  local text = item.insertText
  if type(text) ~= 'string' then
    return nil
  end
  return (text:gsub('\r\n?', '\n'))
end

--- The next word with the blanks before it. Bytes of other scripts belong to words.
function M.first_word(text)
  return text:match('^%s*[%w_\128-\255]+') or text:match('^%s*[^%w_%s\128-\255]+') or text
end

--- The rest of the line, or the line break and the next line where nothing is left of this one.
function M.first_line(text)
  return text:match('^\n?[^\n]+') or text
end

--- The text that extmarks show on the line of the cursor, without counts such as " (1/3)".
function M.drawn(marks)
  local words = {}
  for _, mark in ipairs(marks) do
    local chunk = (mark[4].virt_text or {})[1]
    table.insert(words, chunk and chunk[1] or '')
  end
  return table.concat(words)
end

--- Blanks in the place of tabs, as they are seen from a column (counted from 0).
function M.expand_tabs(text, column, tabstop)
  local out = {}
  for blank, word in (text .. '\t'):gmatch('([^\t]*)(\t)') do
    table.insert(out, blank)
    column = column + vim.fn.strdisplaywidth(blank)
    local width = tabstop - column % tabstop
    table.insert(out, word == '\t' and (' '):rep(width) or '')
    column = column + width
  end
  out[#out] = '' -- the tab that ended the loop
  return table.concat(out)
end

return M
