# ruff: noqa: E501 (code in strings)
from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from tests.repo_context.languages.shown import bound, defined, imported, leads
from tests.repo_context.repository import check

SOURCE = """
require "json"
require_relative "../models/user"
require 'shop/cart'
load "x.rb"
autoload :Thing, "shop/thing"
module Shop
  extend ActiveSupport::Concern
  LIMIT = 3
  class Cart < Base::Record
    include Comparable, Shop::Helper
    attr_reader :items, :owner
    attr_accessor :name
    has_many :users
    scope :recent, -> { where(x: 1) }
    STATES = %w[a b].freeze
    def initialize(items, owner: nil, *rest, **opts, &block)
      @items = items
      @client = Client.new(url)
      @count ||= Counter.new
      @owner = User.new
    end
    def total(rate = 1) = items.sum
    def self.find(id)
      new(id)
    end
    def empty?; @items.empty?; end
    def name=(v)
      local = Foo::Bar.new(1)
      other = @client.get
      self.items.each do |item|
        item.x
      end
      begin
      rescue Shop::Error => e
      end
      a, b = foo
    end
    class << self
      def build(x); end
      attr_reader :registry
    end
    private
    def secret; end
    alias old_total total
    alias_method :x, :y
    delegate :foo, to: :bar
    define_method(:dyn) { |x| x }
    Error = Class.new(StandardError)
    Point = Struct.new(:x, :y) do
      def dist; end
    end
  end
  module_function
  def helper(x); end
end
class Shop::Other::Deep < ::Shop::Cart; end
def top(a); end
"""


def test_definitions():
    assert defined("lib/shop.rb", SOURCE) == snapshot("""\
module Shop  | namespace Shop
LIMIT = 3  | constant LIMIT
class Cart < Base::Record  | class Cart (Record, Comparable, Helper)
attr_reader :items, :owner  | attribute items of Cart -> =items
attr_reader :items, :owner  | attribute owner of Cart -> =User()
attr_accessor :name  | attribute name of Cart
has_many :users  | attribute users of Cart
scope :recent, -> { where(x: 1) }  | attribute recent of Cart
STATES = %w[a b].freeze  | constant STATES of Cart
def initialize(items, owner: nil, *rest, **opts, &block); end  | method initialize of Cart
@client = Client.new(url)  | attribute client of Cart -> =Client()
@count ||= Counter.new  | attribute count of Cart -> =Counter()
def total(rate = 1); end  | method total of Cart
def self.find(id); end  | method find of Cart
def empty?; end  | method empty? of Cart
def name=(v); end  | method name= of Cart
def build(x); end  | method build of Cart
attr_reader :registry  | attribute registry of Cart
def secret; end  | method secret of Cart
alias old_total total  | method old_total of Cart
delegate :foo, to: :bar  | attribute foo of Cart
define_method(:dyn) { |x| x }  | attribute dyn of Cart
Error = Class.new(StandardError)  | constant Error of Cart -> =Class()
Point = Struct.new(:x, :y) do ...  | constant Point of Cart
def helper(x); end  | function helper
class Shop::Other::Deep < ::Shop::Cart  | class Deep (Cart)
def top(a); end  | function top\
""")


def test_imports():
    assert imported("lib/shop.rb", SOURCE) == snapshot(
        [
            ("json", "*", ""),
            ("./../models/user", "*", ""),
            ("shop/cart", "*", ""),
            ("x.rb", "*", ""),
            ("shop/thing", "Thing", "Thing"),
            ("ActiveSupport::Concern", "Concern", "Concern"),
            ("Base::Record", "Record", "Record"),
            ("Comparable", "Comparable", "Comparable"),
            ("Shop::Helper", "Helper", "Helper"),
            ("Shop::Cart", "Cart", "Cart"),
        ]
    )


def test_bindings():
    assert bound("lib/shop.rb", SOURCE) == snapshot(
        [
            "self: Cart [9-53]",
            "owner:  [16-22]",
            "rate:  [22-23]",
            "local: =Foo.Bar() [28-38]",
            "other: =self.client.get [29-38]",
            "item: =self.items[] [30-33]",
            "e: Shop::Error [34-38]",
            "self: Deep [56-57]",
        ]
    )


FILES = {
    "lib/shop/cart.rb": "",
    "lib/shop/line_item.rb": "",
    "app/models/html_page.rb": "",
    "models/user.rb": "",
    "deep/json.rb": "",
    "gems/tools/lib/tools.rb": "",
}


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("shop/cart", "lib/shop/cart.rb"),
        ("./../models/user", "models/user.rb"),
        ("./main.rb", "lib/main.rb"),
        ("Shop::LineItem", "lib/shop/line_item.rb"),
        ("LineItem", "lib/shop/line_item.rb"),
        ("HTMLPage", "app/models/html_page.rb"),
        ("tools", "gems/tools/lib/tools.rb"),
        ("json", None),
        ("./../../outside", None),
        ("Missing", None),
    ],
)
def test_requires_and_constants(module: str, file: str | None):
    assert leads(FILES, "lib/main.rb", module) == ([file] if file else [])


def test_a_whole_repository():
    assert check(
        {
            "lib/shop/cart.rb": "module Shop\n  class Cart\n    attr_reader :items\n    def add(item)\n      @items << item\n    end\n  end\nend\n",
            "lib/main.rb": "require 'shop/cart'\n\ncart = Shop::Cart.new\ncart.$0\n",
        }
    ) == snapshot("""\
== lib/shop/cart.rb
module Shop
  class Cart
    attr_reader :items
    def add(item); end
  end
end
""")
