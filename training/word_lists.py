"""First names and cities: trained ones, and those that only the evaluation sees."""


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.replace("\n", " ").split(",") if word.strip()]


HELD_OUT_NAMES = _split("""
Nicole, Frida, Albert, Arthur, Barry, Bernard, Caroline, Charlotte, Eleanor, Ernest, Joan, Joseph, Norman, Patrick,
Simon, Stephen, Sylvia, Virginia, Hannah, Monica, Alex, Simone, Nathan, Jonas, Martin, Adrian, Colin, Kevin,
Mason, Ursula, Quentin, Bruno, Greta, Igor, Judith, Marcel, Ralph, Tanya, Stella, Dmitri, Camille, Edgar
""")
HELD_OUT_CITIES = _split("""
Austin, Phoenix, Detroit, Philadelphia, Buffalo, Cleveland, Orlando, Sacramento, Memphis, Brighton, Manchester,
Liverpool, Newcastle, Victoria, Wellington, Lancaster, Richmond, Jackson, Lincoln, Madison, Columbus, Charleston,
Springfield, Georgetown, Durham, Essex, Sussex, Norfolk, Albany, Hampton, Windsor, Alexandria, Darwin,
Adelaide, Brisbane, Aurora, Arlington, Oakland, Savannah, Portland, Kingston, Kiev, Dakar, Perth,
Turin, Leipzig, Bergen, Baghdad, Salem, Granada
""")
NAMES = _split("""
Ada, Alan, Alice, Anna, Ben, Bob, Carl, Clara, Daniel, David, Diana, Elena, Emma, Eric, Eva, Felix, Fiona, Frank,
George, Grace, Harry, Helen, Henry, Hugo, Ian, Ida, Ivan, Jack, Jane, John, Julia, Kai, Karen, Karl, Kate, Kim,
Laura, Leo, Lena, Lily, Linda, Lisa, Lucas, Lucy, Luis, Maria, Mark, Max, Maya, Mia, Mike, Mila, Nadia, Nina, Noah,
Nora, Olga, Oliver, Olivia, Oscar, Otto, Paul, Pedro, Peter, Rachel, Robert, Rosa, Ruth, Ryan, Sam, Sara, Sofia,
Sophie, Steve, Susan, Theo, Thomas, Tom, Vera, Victor, Walter, Yuki, Zoe, Zara, Aisha, Chen, Diego, Farah, Ines,
Kofi, Leila, Omar, Priya, Raj, Sven, Uma, Wei, Yara, Grete, Lars, Freya, Nils, Astrid, Bjorn, Sanna, Aino, Zdenek,
Balint, Andrea, Luca, Giulia, Marco, Chiara, Pierre, Chloe, Louis, Manon, Hans, Jurgen, Anton, Fatima, Ahmed, Layla,
Elif, Amara, Chidi, Zuri, Kwame, Thandi, Arjun, Meera, Anika, Rohan, Jun, Kenji, Sakura, Somchai, Putri, Camila,
Valentina, Santiago, Isabella, Thiago, Emily, Jessica, Michael, James, Sarah, Ashley, Amanda, Brian, Jason, Justin,
Megan, Ethan, Aiden, Chris, Matt, Tim, Dan, Nick, Joe, Jim, Liz, Beth, Amy, William
""")
CITIES = _split("""
Paris, London, Berlin, Madrid, Rome, Vienna, Prague, Tokyo, Kyoto, Osaka, Beijing, Shanghai, Delhi, Mumbai, Cairo,
Lagos, Nairobi, Sydney, Melbourne, Toronto, Montreal, Chicago, Boston, Seattle, Dallas, Houston, Miami, Denver,
Atlanta, Lima, Santiago, Lisbon, Porto, Dublin, Oslo, Stockholm, Helsinki, Copenhagen, Athens, Warsaw, Budapest,
Zurich, Geneva, Milan, Naples, Venice, Florence, Barcelona, Valencia, Seville, Munich, Hamburg, Cologne, Frankfurt,
Brussels, Amsterdam, Rotterdam, Moscow, Istanbul, Dubai, Seoul, Busan, Bangkok, Hanoi, Manila, Jakarta, Singapore,
Oxford, Cambridge, York, Leeds, Bristol, Glasgow, Edinburgh, Lyon, Nice, Marseille, San Francisco, New York,
Los Angeles, Las Vegas, Hong Kong, Rio de Janeiro, Buenos Aires, Cape Town, New Delhi, Mexico City, Reykjavik,
Zagreb, Belgrade, Sofia, Vilnius, Tbilisi, Baku, Tehran, Jerusalem, Tel Aviv, Amman, Dhaka, Chennai, Kathmandu,
Saigon, Taipei, Nagoya, Sapporo, Fukuoka, Hiroshima, Nara, Nanjing, Harbin, Honolulu, Vancouver, Nashville,
New Orleans, Bogota, Cusco, La Paz, Montevideo, Accra, Algiers, Casablanca, Tripoli, Khartoum, Harare, Maputo,
Johannesburg, Basel, Bern, Stuttgart, Nuremberg, Ghent, Bordeaux, Toulouse, Bologna, Krakow, Gdansk, Brno, Malmo,
Uppsala, Belfast, Bath, Canberra, Ankara, Havana, San Diego
""")
